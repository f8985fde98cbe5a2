// Recomputes published numbers with the code that ranks, so that anybody can see whether to believe it.
#pragma once

#include <string>
#include <vector>

#include "runners/ledger/table.h"

namespace gapbench {

struct VerifyRow {
  std::string what;
  double published = 0, computed = 0, tolerance = 0;
  bool passed = false;
};

/// The tables of scipy.stats.kendalltau and weightedtau, the nine networks of Jin et al. 2020, PGDL task 1 and the
/// sign error of small environments.
std::vector<VerifyRow> verify_published();

/// The environments of Dziugaite et al. 2020 from their ledger: counts, order and mean sign error of the measures.
/// Throws InputError where the file has not its columns.
std::vector<VerifyRow> verify_dziugaite(const Table& ledger);

}  // namespace gapbench
