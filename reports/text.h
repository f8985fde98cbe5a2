// What the text renderers share.
#pragma once

#include <string>

#include "reports/report.h"

namespace gapbench::reports {

/// A number with fixed decimals; never "-0.000". "" for null.
std::string fixed(const Document& value, int decimals);
/// A p-value: three decimals, or like 2.1e-05 when smaller than .001.
std::string p_text(const Document& value);
/// "[-0.123, 0.456]", or "" for null.
std::string interval_text(const Document& interval);
/// A level of an axis: the text itself, or the number as JSON writes it.
std::string level_text(const Document& level);

}  // namespace gapbench::reports
