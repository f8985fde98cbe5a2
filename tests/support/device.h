// What tests of CUDA kernels share: a device or a skip, and device memory between guard words.
#pragma once

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/support/catch.h"

inline void check(cudaError_t error) {
  INFO(cudaGetErrorString(error));
  REQUIRE(error == cudaSuccess);
}

inline void skip_without_device() {
  int devices = 0;
  const cudaError_t error = cudaGetDeviceCount(&devices);
  if (error == cudaSuccess && devices > 0) return;
  std::printf("skipped: no CUDA device (%s)\n", cudaGetErrorString(error));
  std::exit(77);
}

/// `bytes` of device memory at `offset` bytes behind a 256-byte boundary; guard words around it are checked at the end.
class DeviceBytes {
 public:
  explicit DeviceBytes(std::size_t bytes, std::size_t offset = 0) : bytes_(bytes), offset_(guard + offset) {
    const std::vector<unsigned char> pattern(offset_ + bytes + guard,
                                             0xFF);  // NaN around it, and in it until written
    check(cudaMalloc(&data_, pattern.size()));
    check(cudaMemcpy(data_, pattern.data(), pattern.size(), cudaMemcpyHostToDevice));
  }
  template <class T>
  explicit DeviceBytes(const std::vector<T>& values, std::size_t offset = 0)
      : DeviceBytes(values.size() * sizeof(T), offset) {
    check(cudaMemcpy(get(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~DeviceBytes() {
    std::vector<unsigned char> all(offset_ + bytes_ + guard);
    CHECK(cudaMemcpy(all.data(), data_, all.size(), cudaMemcpyDeviceToHost) == cudaSuccess);
    bool intact = true;
    for (std::size_t i = 0; i < all.size(); ++i)
      intact = intact && (all[i] == 0xFF || (i >= offset_ && i < offset_ + bytes_));
    CHECK(intact);
    cudaFree(data_);
  }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  void* get() const { return static_cast<char*>(data_) + offset_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(get());
  }
  template <class T>
  std::vector<T> read() const {
    std::vector<T> values(bytes_ / sizeof(T));
    check(cudaMemcpy(values.data(), get(), bytes_, cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  static constexpr std::size_t guard = 256;
  std::size_t bytes_, offset_;
  void* data_ = nullptr;
};
