/* What each Criterion suite is linked with. Criterion makes a process of each test, two thousand in
 * all, so that what a process does before it begins counts. */
#include <dlfcn.h>
#include <sanitizer/lsan_interface.h>
#include <stddef.h>
#include <stdlib.h>

/* The runner loses some memory of its own now and then, which must not decide by the exit code of
 * the process: tests/faults/faults.awk reads the reports instead. Not by the environment: the
 * programs that a suite starts keep their exit code. */
const char *__lsan_default_options(void)
{
    return "exitcode=0";
}

/* Criterion has libgit2 for showing how two texts differ. It makes it ready at once, which reads
 * and decodes all certificates of the machine, a third of what such a process costs. Here that
 * waits until a difference is shown. */
int git_libgit2_init(void);
int git_libgit2_shutdown(void);
int git_diff_buffers(const void *old, size_t old_size, const char *old_name, const void *new,
                     size_t new_size, const char *new_name, const void *options, void *on_file,
                     void *on_binary, void *on_hunk, void *on_line, void *context);

int git_libgit2_init(void)
{
    return 1;
}

int git_libgit2_shutdown(void)
{
    return 0;
}

int git_diff_buffers(const void *old, size_t old_size, const char *old_name, const void *new,
                     size_t new_size, const char *new_name, const void *options, void *on_file,
                     void *on_binary, void *on_hunk, void *on_line, void *context)
{
    __typeof__(&git_libgit2_init) init;
    __typeof__(&git_diff_buffers) diff;

    *(void **)&init = dlsym(RTLD_NEXT, "git_libgit2_init");
    *(void **)&diff = dlsym(RTLD_NEXT, "git_diff_buffers");
    if (!init || !diff || init() < 0)
        abort();
    return diff(old, old_size, old_name, new, new_size, new_name, options, on_file, on_binary,
                on_hunk, on_line, context);
}
