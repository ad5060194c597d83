/* Exit codes of all programs: a contract, see docs/operations.md. */
#ifndef CLI_EXIT_CODE_H
#define CLI_EXIT_CODE_H

enum exit_code {
    EXIT_CODE_OK = 0,
    EXIT_CODE_FAILED = 1,
    EXIT_CODE_USAGE = 2,
    EXIT_CODE_UNREACHABLE = 3,
    EXIT_CODE_DEGRADED = 4, /* status --check, doctor; scrub --wait: something was damaged */
    EXIT_CODE_CONFLICT = 5, /* in use, of another cluster, newer, stale plan */
};

#endif
