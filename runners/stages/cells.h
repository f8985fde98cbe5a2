// measures.jsonl of a model: one line per measure, with the revision that computed it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "measures/api/measure.h"
#include "zoo/store/model_store.h"

namespace gapbench {

struct MeasureCell {
  std::string measure;
  int revision = 0;
  Outcome outcome = Outcome::failed("not computed");
  double seconds = 0;  ///< wall time of this measure, less what an earlier one had put into the memo
  std::string
      executor;  ///< Probe::execution() where the measure needs a probe; empty: none, or an earlier version

  /// A re-run keeps it: same revision, and not broken. Whichever executor computed it, as with trained models.
  bool is_current(const MeasureInfo& info) const {
    return revision == info.revision && outcome.status() != Outcome::Status::failed;
  }
};

/// Needs that only a probe meets.
inline constexpr unsigned needs_probe = needs_data | needs_labels | needs_gradients | needs_hessian;

/// Computes one cell; whatever a measure throws becomes a failed cell.
MeasureCell compute_cell(const Measure& measure, const Snapshot& snapshot, Probe* probe);

/// What ran the network for these cells, each once.
std::set<std::string> executors_of(const std::vector<MeasureCell>& cells);

/// An absent file is empty. Throws InputError on a malformed line, naming the file.
std::vector<MeasureCell> read_cells(const ModelStore& store, const std::string& model_id);
void write_cells(const ModelStore& store, const std::string& model_id, const std::vector<MeasureCell>& cells);
nlohmann::json to_json(const MeasureCell& cell);

/// searches.jsonl of a model: one line per search, with the revision of its definition. As above.
std::map<std::string, StoredSearch> read_searches(const ModelStore& store, const std::string& model_id);
void write_searches(const ModelStore& store, const std::string& model_id,
                    const std::map<std::string, StoredSearch>& searches);

}  // namespace gapbench
