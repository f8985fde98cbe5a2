// All protocols on synthetic ledgers shaped like that of Dziugaite et al.: five axes of 2, 5, 5, 5 and 4 levels,
// 1,000 configurations, 10 seeds, 50 measures. Options: see usage() below. Prints one JSON line a run.
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "measures/numerics/philox.h"
#include "runners/ranking/kendall.h"
#include "runners/ranking/protocols.h"

namespace {

using namespace gapbench;

int usage() {
  std::fputs(
      "usage: protocols_bench [key=value ...]   keys: levels=2,5,5,5,4 seeds=10 measures=50 draws=1000 "
      "threads=0\n"
      "       protocols_bench only=environments ...   the sign errors of all measures alone, one thread\n"
      "       protocols_bench kendall=10000     tau-b of two random lists alone\n"
      "       protocols_bench dump=FILE ...     also writes the ledger as CSV, for other programs\n",
      stderr);
  return 1;
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Design grid(const std::string& text) {
  Design d;
  d.items = 1;
  std::vector<std::uint32_t> levels;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    levels.push_back(static_cast<std::uint32_t>(std::atoi(text.substr(at, comma - at).c_str())));
    d.items *= levels.back();
    at = comma + 1;
  }
  std::size_t block = d.items;
  for (const std::uint32_t l : levels) {
    block /= l;
    DesignAxis axis{"axis" + std::to_string(d.axes.size()), l, {}};
    for (std::size_t i = 0; i < d.items; ++i) axis.level.push_back(static_cast<std::uint32_t>(i / block % l));
    d.axes.push_back(std::move(axis));
  }
  return d;
}

ProtocolInput ledger(const std::string& levels, std::uint32_t seeds, int measures) {
  ProtocolInput in;
  in.design = grid(levels);
  RandomStream random(random_key("ledger", "bench"));
  for (std::uint32_t c = 0; c < in.design.items; ++c)
    for (std::uint32_t s = 0; s < seeds; ++s) {
      double gap = 0.1 + 0.01 * random.normal();
      for (const DesignAxis& a : in.design.axes) gap += 0.02 * a.level[c] / a.levels;
      in.configuration.push_back(c);
      in.seed.push_back(s);
      in.gap.push_back(std::round(gap * 1e4) / 1e4);  // accuracies on 10,000 test points: ties
    }
  for (int m = 0; m < measures; ++m) {
    in.measures.emplace_back();
    for (const double g : in.gap) in.measures.back().values.push_back(g + 0.01 * m * random.normal());
  }
  return in;
}

void dump(const ProtocolInput& in, const char* file) {
  std::FILE* out = std::fopen(file, "w");
  if (out == nullptr) return;
  std::fputs("experiment_id,repeat_id", out);
  for (const DesignAxis& a : in.design.axes) std::fprintf(out, ",hp.%s", a.name.c_str());
  std::fputs(",gen.gap", out);
  for (std::size_t m = 0; m < in.measures.size(); ++m) std::fprintf(out, ",complexity.m%zu", m);
  for (std::size_t i = 0; i < in.gap.size(); ++i) {
    std::fprintf(out, "\n%u,%u", in.configuration[i], in.seed[i]);
    for (const DesignAxis& a : in.design.axes) std::fprintf(out, ",%u", a.level[in.configuration[i]]);
    std::fprintf(out, ",%.17g", in.gap[i]);
    for (const ProtocolMeasure& m : in.measures) std::fprintf(out, ",%.17g", m.values[i]);
  }
  std::fputs("\n", out);
  std::fclose(out);
}

int bench_kendall(std::size_t n) {
  RandomStream random(random_key("kendall", "bench"));
  std::vector<double> x, y;
  for (std::size_t i = 0; i < n; ++i) {
    x.push_back(random.normal());
    y.push_back(x.back() + random.normal());
  }
  double best = 1e300, tau = 0;
  for (int r = 0; r < 7; ++r) {
    const double start = now();
    tau = *kendall(x, y).tau_b;
    best = std::min(best, now() - start);
  }
  std::printf("{\"kendall_n\": %zu, \"seconds\": %.6f, \"tau_b\": %.6f}\n", n, best, tau);
  return 0;
}

int bench_environments(const ProtocolInput& in) {
  const double start = now();
  const Runs runs = Runs::from(in.gap, in.configuration, in.design.items);
  const Environments environments(axis_pairs(in.design), runs, {});
  double mean = 0;
  for (const ProtocolMeasure& m : in.measures) {
    std::vector<double> kept;
    for (const auto& loss : environments.losses(m.values))
      if (loss) kept.push_back(*loss);
    if (const auto s = summarise(kept)) mean += s->mean / static_cast<double>(in.measures.size());
  }
  std::printf("{\"models\": %zu, \"environments\": %zu, \"seconds\": %.5f, \"mean_sign_error\": %.12f}\n",
              in.gap.size(), environments.all().size(), now() - start, mean);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> set = {
      {"levels", "2,5,5,5,4"}, {"seeds", "10"}, {"measures", "50"}, {"draws", "1000"}, {"threads", "0"}};
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const std::size_t equals = a.find('=');
    const std::string key = a.substr(0, equals);
    if (equals == std::string::npos ||
        (set.count(key) == 0 && key != "kendall" && key != "dump" && key != "only"))
      return usage();
    set[key] = a.substr(equals + 1);
  }
  if (set.count("kendall") > 0)
    return bench_kendall(static_cast<std::size_t>(std::atoll(set["kendall"].c_str())));
  const ProtocolInput in = ledger(set["levels"], static_cast<std::uint32_t>(std::atoi(set["seeds"].c_str())),
                                  std::atoi(set["measures"].c_str()));
  if (set.count("dump") > 0) dump(in, set["dump"].c_str());
  if (set.count("only") > 0) return bench_environments(in);
  ProtocolOptions options;
  options.resamples = options.permutations = std::atoll(set["draws"].c_str());
  options.threads = std::atoi(set["threads"].c_str());
  const double start = now();
  const ProtocolResult result = evaluate_protocols(in, options);
  const double seconds = now() - start;
  rusage usage_now = {};
  getrusage(RUSAGE_SELF, &usage_now);
  const auto cpu = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  std::printf(
      "{\"models\": %zu, \"configurations\": %zu, \"measures\": %zu, \"draws\": %s, \"seconds\": %.2f, "
      "\"cpu_seconds\": %.2f, \"peak_mib\": %.0f, \"psi_of_first\": %.4f}\n",
      in.gap.size(), in.design.items, in.measures.size(), set["draws"].c_str(), seconds,
      cpu(usage_now.ru_utime), static_cast<double>(usage_now.ru_maxrss) / 1024,
      result.measures[0].at(Stat::psi).value.value_or(0));
}
