/* Faults made on purpose, one a test, not a suite of its own: faults_test.sh shows that each is
 * seen, leaks too, though a test is a process of its own that ends before the runner. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>

static void *volatile lost;

static void *lose(void *size)
{
    lost = malloc((size_t)size);
    lost = NULL;
    return NULL;
}

Test(planted, clean)
{
    lost = malloc(10);
    free(lost);
}

Test(planted, leak)
{
    lose((void *)100);
}

Test(planted, leak_of_a_thread)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, lose, (void *)300), 0);
    pthread_join(thread, NULL);
}

static void fixture(void)
{
    lose((void *)200);
}

Test(planted, leak_of_a_fixture, .fini = fixture)
{
}

Test(planted, overflow)
{
    volatile int number = 0x7fffffff;

    number += 1;
}

Test(planted, use_after_free)
{
    volatile char *volatile bytes = malloc(10);

    free((void *)bytes);
    bytes[5] = 1;
}
