// What a measure returns: a finite number, or a status with the reason why there is none. Never NaN, never a
// zero that means "empty", no exception for "not applicable".
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gapbench {

class Outcome {
 public:
  enum class Status {
    ok,              ///< value() is a finite number
    not_applicable,  ///< the measure is not defined for this kind of model (no convolution, no initial
                     ///< weights, ...)
    undefined,       ///< the formula has no finite value here (zero norm, correlation 1, ...)
    not_converged,   ///< an iteration or a search ended without meeting its stopping rule
    failed,          ///< the computation broke; the reason says how
  };

  /// A finite value. A value that is not finite becomes `undefined`, so no NaN or infinity can leave a
  /// measure.
  static Outcome value(double v) {
    if (!std::isfinite(v)) return undefined("the formula gave a value that is not finite");
    Outcome o(Status::ok, {});
    o.value_ = v;
    return o;
  }
  /// A stochastic value with its standard error (same unit, >= 0).
  static Outcome value(double v, double standard_error) {
    Outcome o = value(v);
    if (o.ok() && std::isfinite(standard_error)) o.standard_error_ = standard_error;
    return o;
  }
  static Outcome not_applicable(std::string reason) { return {Status::not_applicable, std::move(reason)}; }
  static Outcome undefined(std::string reason) { return {Status::undefined, std::move(reason)}; }
  static Outcome not_converged(std::string reason) { return {Status::not_converged, std::move(reason)}; }
  static Outcome failed(std::string reason) { return {Status::failed, std::move(reason)}; }

  /// The same value, marked as the bound at which a search stopped: rank statistics treat such values as
  /// tied.
  Outcome as_censored(std::string reason) && {
    censored_ = true;
    reason_ = std::move(reason);
    return std::move(*this);
  }

  /// f(value), censored where this is; what is not ok stays as it is. A standard error is not carried over.
  template <class Function>
  Outcome map(Function&& f) const {
    if (!ok()) return *this;
    Outcome o = value(f(*value_));
    return censored_ ? std::move(o).as_censored(reason_) : o;
  }

  bool ok() const { return status_ == Status::ok; }
  Status status() const { return status_; }
  /// Empty unless ok().
  std::optional<double> value() const { return value_; }
  std::optional<double> standard_error() const { return standard_error_; }
  bool censored() const { return censored_; }
  const std::string& reason() const { return reason_; }

 private:
  Outcome(Status status, std::string reason) : status_(status), reason_(std::move(reason)) {}

  Status status_;
  std::optional<double> value_;
  std::optional<double> standard_error_;
  bool censored_ = false;
  std::string reason_;
};

/// The status as files spell it: "ok", "not-applicable", "undefined", "not-converged", "failed".
constexpr std::string_view to_string(Outcome::Status status) {
  switch (status) {
    case Outcome::Status::ok:
      return "ok";
    case Outcome::Status::not_applicable:
      return "not-applicable";
    case Outcome::Status::undefined:
      return "undefined";
    case Outcome::Status::not_converged:
      return "not-converged";
    case Outcome::Status::failed:
      return "failed";
  }
  return "failed";
}

}  // namespace gapbench
