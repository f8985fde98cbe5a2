#include "runners/stages/shipped_specs.h"

#include <filesystem>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "spec_cifar10_nin.embedded.h"
#include "spec_digits.embedded.h"
#include "spec_digits_small.embedded.h"
#include "spec_mnist_fcn.embedded.h"

namespace gapbench {

const std::vector<ShippedSpec>& shipped_specs() {
  static const std::vector<ShippedSpec> specs = {
      {"digits", embedded::spec_digits()},
      {"digits-small", embedded::spec_digits_small()},
      {"mnist-fcn", embedded::spec_mnist_fcn()},
      {"cifar10-nin", embedded::spec_cifar10_nin()},
  };
  return specs;
}

ZooSpec load_spec(const std::string& file_or_name) {
  if (std::filesystem::is_regular_file(file_or_name)) return ZooSpec::load(file_or_name);
  std::vector<std::string_view> names;
  for (const ShippedSpec& spec : shipped_specs()) {
    if (spec.name == file_or_name) return ZooSpec::parse(spec.text, "shipped spec " + file_or_name);
    names.push_back(spec.name);
  }
  throw InputError("no spec file " + file_or_name + ", and no shipped spec of that name" +
                   suggestion(file_or_name, names));
}

}  // namespace gapbench
