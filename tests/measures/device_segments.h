// The segments of segment_cases.h on the device, at addresses of every alignment.
#pragma once

#include <memory>

#include "tests/measures/segment_cases.h"
#include "tests/support/device.h"

struct DeviceSegments {
  std::vector<std::unique_ptr<DeviceBytes>> memory;
  std::vector<gapbench::kernels::Segment> segments;
  explicit DeviceSegments(const HostSegments& host) : segments(host.segments) {
    const auto put = [&](const std::vector<float>& values, std::size_t offset) {
      memory.push_back(std::make_unique<DeviceBytes>(values, offset));
      return memory.back()->as<float>();
    };
    for (std::size_t i = 0; i < segments.size(); ++i) {
      segments[i].a = put(host.a[i], i % 3 * 4);
      if (segments[i].b != nullptr) segments[i].b = put(host.b[i], i % 5 * 4);
    }
  }
};
