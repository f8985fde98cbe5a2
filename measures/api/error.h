// Errors people meet. Each message names the thing, what was allowed, and what to do next; main() turns the
// class into the exit code. Our own bugs throw InternalError. Numerical outcomes are not errors: see
// outcome.h.
#pragma once

#include <stdexcept>
#include <string>

namespace gapbench {

/// Base of every error gapbench throws on purpose. `exit_code` is what the command line returns for it.
class Error : public std::runtime_error {
 public:
  Error(const std::string& message, int code) : std::runtime_error(message), exit_code(code) {}
  const int exit_code;
};

/// The command was called wrongly (exit code 1).
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(message, 1) {}
};

/// A file, a spec, a data set or the environment is not as required (exit code 2).
class InputError : public Error {
 public:
  explicit InputError(const std::string& message) : Error(message, 2) {}
};

/// A broken promise inside gapbench (exit code 4).
class InternalError : public Error {
 public:
  explicit InternalError(const std::string& message) : Error("internal error: " + message, 4) {}
};

}  // namespace gapbench
