// The files of the PGDL competition as a ledger: reference_data/<task>/model_configs.json and one <name>.predict per
// measure.
#pragma once

#include <filesystem>
#include <vector>

#include "runners/ledger/table.h"

namespace gapbench {

/// Columns experiment_id, model_id, hp.<name>..., gen.train_acc, gen.test_acc, gen.gap, complexity.<file stem>...
/// A prediction is looked up as "model_<id>", then as "<id>". Throws InputError that names the file, the model and
/// the key on anything missing.
Table read_pgdl(const std::filesystem::path& model_configs,
                const std::vector<std::filesystem::path>& predictions);

}  // namespace gapbench
