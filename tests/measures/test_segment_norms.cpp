// The CPU version of segment_norms against the float64 reference, and both against closed forms.
#include <cstring>

#include "tests/measures/segment_cases.h"

using namespace gapbench;
using namespace gapbench::kernels;

TEST_CASE("segment norms agree with the reference") {
  const HostSegments host;
  const std::vector<Segment>& segments = host.segments;
  const std::int64_t count = host.count();
  std::vector<SegmentNorms> expected(segments.size()), one(segments.size()), three(segments.size());
  for (const auto& [p, q] : {std::pair{2.0, 2.0}, std::pair{2.0, 1.0}, std::pair{1.0, 2.0},
                             std::pair{1.0, 1.0}, std::pair{3.0, 1.5}}) {
    segment_norms_ref(segments.data(), count, p, q, expected.data());
    segment_norms(segments.data(), count, p, q, one.data(), 1);
    segment_norms(segments.data(), count, p, q, three.data(), 3);
    check_norms(one, expected, p, q);
    CHECK(std::memcmp(one.data(), three.data(), one.size() * sizeof(SegmentNorms)) == 0);
  }
}

TEST_CASE("segment norms of a known matrix, at an odd address") {
  std::vector<float> memory{99, 3, -4, 0, 5, 12, 0, 99};  // rows (3,-4,0), (5,12,0) between guards
  const Segment s{memory.data() + 1, nullptr, 2, 3};
  for (const auto norms : {&segment_norms_ref, +[](const Segment* in, std::int64_t n, double p, double q,
                                                   SegmentNorms* o) { segment_norms(in, n, p, q, o, 1); }}) {
    SegmentNorms n;
    norms(&s, 1, 2, 1, &n);
    CHECK(n.squares == 194);
    CHECK(n.absolute == 24);
    CHECK(n.largest == 12);
    CHECK(n.groups == 18);  // |(3,-4,0)| + |(5,12,0)|
    norms(&s, 1, 1, 2, &n);
    CHECK(n.groups == 49 + 289);
  }
  CHECK(memory.front() == 99);
  CHECK(memory.back() == 99);
}
