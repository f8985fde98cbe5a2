// Asynchronous copies to shared memory, emulated: see cuda_runtime.h.
#pragma once

#include "cuda_runtime.h"

inline void __pipeline_memcpy_async(void* to, const void* from, std::size_t bytes, std::size_t = 0) {
  cuda_host::copy_later(to, from, bytes);
}
inline void __pipeline_commit() {
  cuda_host::commit_copies();
}
inline void __pipeline_wait_prior(std::size_t newest_left) {
  cuda_host::wait_for_copies(newest_left);
}
