// GAPBENCH_CLONES before a function compiles it for several instruction sets; the machine's best is chosen at
// start. All clones do the same integer or ordered floating-point operations, so results do not depend on it.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GAPBENCH_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GAPBENCH_CLONES
#endif
