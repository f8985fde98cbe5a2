// measures.jsonl of a model: one line per measure, with the revision that computed it.
#pragma once

#include <map>
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

  /// A re-run keeps it: same revision, and not broken.
  bool is_current(const MeasureInfo& info) const {
    return revision == info.revision && outcome.status() != Outcome::Status::failed;
  }
};

/// Computes one cell; whatever a measure throws becomes a failed cell.
MeasureCell compute_cell(const Measure& measure, const Snapshot& snapshot, Probe* probe);

/// An absent file is empty. Throws InputError on a malformed line, naming the file.
std::vector<MeasureCell> read_cells(const ModelStore& store, const std::string& model_id);
void write_cells(const ModelStore& store, const std::string& model_id, const std::vector<MeasureCell>& cells);
nlohmann::json to_json(const MeasureCell& cell);

/// searches.jsonl of a model: one line per search, with the revision of its definition. As above.
std::map<std::string, StoredSearch> read_searches(const ModelStore& store, const std::string& model_id);
void write_searches(const ModelStore& store, const std::string& model_id,
                    const std::map<std::string, StoredSearch>& searches);

}  // namespace gapbench
