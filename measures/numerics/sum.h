// Compensated summation (A. Neumaier, ZAMM 54, 1974): the error of a sum of n doubles does not grow with n.
// Error: |result - exact| <= 2 u |exact| + O(n u^2) sum |x|, u = 2^-53. Cost: four additions a term. std
// only.
#pragma once

#include <cmath>

namespace gapbench {

class CompensatedSum {
 public:
  void add(double x) {
    const double t = sum_ + x;
    correction_ += std::abs(sum_) >= std::abs(x) ? (sum_ - t) + x : (x - t) + sum_;
    sum_ = t;
  }
  double value() const { return sum_ + correction_; }

 private:
  double sum_ = 0, correction_ = 0;
};

}  // namespace gapbench
