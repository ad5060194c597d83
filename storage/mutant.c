#include "storage/mutant.h"

#ifdef RINGCASK_MUTANTS
int mutant_current;
#endif
