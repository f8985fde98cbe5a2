// JSON, CSV, Markdown and terminal table.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "reports/text.h"

namespace gapbench::reports {

namespace {

std::string text_or_empty(const Document& v) {
  return v.is_string() ? v.get<std::string>() : v.is_null() ? "" : v.dump();
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + "\"";
}

// Displayed columns of UTF-8 text: code points.
std::size_t display_width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

const std::vector<std::string>& headings() {
  static const std::vector<std::string> h = {"#", "measure", "tau-b", "interval", "tau-a",
                                             "p", "n",       "ties",  "sign"};
  return h;
}

// Cells of one measure in one gap's table; baselines have no rank.
std::vector<std::string> cells(const Document& measure, std::size_t gap, int& rank) {
  const Document& r = measure["results"][gap];
  const bool baseline = measure["kind"] == "baseline";
  const bool ok = r["status"] == "ok";
  std::string interval = interval_text(r["interval"]);
  if (!r["null_band"].is_null()) interval += " band " + interval_text(r["null_band"]);
  std::string count = r["n"].dump();
  if (measure["counts"]["missing"] != 0) count += " (" + measure["counts"]["missing"].dump() + " missing)";
  if (measure["counts"]["censored"] != 0) count += " (" + measure["counts"]["censored"].dump() + " censored)";
  return {baseline || !ok ? "" : std::to_string(++rank),
          measure["id"].get<std::string>() + (baseline ? " (baseline)" : ""),
          ok ? fixed(r["tau_b"], 4) : r["status"].get<std::string>(),
          interval,
          fixed(r["tau_a"], 4),
          p_text(r["p_value"]) + (r["p_method"] == "exact" ? " exact" : ""),
          count,
          r["ties"]["measure"].dump() + "/" + r["ties"]["gap"].dump() + "/" + r["ties"]["both"].dump(),
          text_or_empty(measure["sign"])};
}

// The protocols that have columns of their own, in the second table of a gap.
struct Column {
  const char *id, *heading;
};
const std::vector<Column>& protocol_columns() {
  static const std::vector<Column> c = {{"psi", "Psi"},
                                        {"jiang_k", "K"},
                                        {"pgdl", "PGDL"},
                                        {"sign_error_mean", "sign error"},
                                        {"sign_error_q90", "90 %"},
                                        {"sign_error_max", "max"}};
  return c;
}

std::vector<std::string> protocol_headings() {
  std::vector<std::string> h = {"measure"};
  for (const Column& c : protocol_columns()) {
    h.emplace_back(c.heading);
    h.emplace_back("null");
  }
  return h;
}

// Whether any measure has any statistic of the protocols.
bool has_protocols(const Document& ranking, std::size_t gap) {
  for (const Column& c : protocol_columns())
    for (const Document& m : ranking["measures"]) {
      const Document& all = m["results"][gap]["statistics"];
      if (const auto it = all.find(c.id); it != all.end() && !(*it)["value"].is_null()) return true;
    }
  return false;
}

// "0.412 [0.300, 0.520] *", the star where the family-wise permutation p is below 0.05; and the null band.
std::vector<std::string> protocol_cells(const Document& measure, std::size_t gap) {
  std::vector<std::string> row = {measure["id"].get<std::string>() +
                                  (measure["kind"] == "baseline" ? " (baseline)" : "")};
  for (const Column& c : protocol_columns()) {
    const Document& all = measure["results"][gap]["statistics"];
    const auto it = all.find(c.id);
    if (it == all.end() || (*it)["value"].is_null()) {
      row.insert(row.end(), {"-", ""});
      continue;
    }
    std::string text = fixed((*it)["value"], 3);
    if (!(*it)["interval"].is_null()) text += " " + interval_text((*it)["interval"]);
    const Document& null = (*it)["null"];
    if (measure["kind"] != "baseline" && !null.is_null() && null["p_family"].get<double>() < 0.05)
      text += " *";
    row.push_back(std::move(text));
    row.push_back(interval_text(null));
  }
  return row;
}

// The terminal's form: "0.412 [0.300, 0.520] *", one column a statistic.
std::vector<std::string> narrow_headings() {
  std::vector<std::string> h = {"measure"};
  for (const Column& c : protocol_columns()) h.emplace_back(c.heading);
  return h;
}

std::vector<std::vector<std::string>> narrow_rows(const std::vector<std::vector<std::string>>& wide) {
  std::vector<std::vector<std::string>> all;
  for (const auto& row : wide) {
    all.push_back({row[0]});
    for (std::size_t c = 1; c < row.size(); c += 2) {
      const bool star = row[c].size() > 2 && row[c].compare(row[c].size() - 2, 2, " *") == 0;
      all.back().push_back(row[c] + (star || row[c] == "-" ? "" : "  "));  // stars in a column of their own
    }
  }
  return all;
}

// The widest null band of any measure, for each statistic: it differs little between measures.
std::string null_bands(const Document& ranking, std::size_t gap) {
  std::vector<std::string> bands;
  for (const Column& c : protocol_columns()) {
    std::optional<std::pair<double, double>> widest;
    for (const Document& m : ranking["measures"]) {
      const Document& all = m["results"][gap]["statistics"];
      const auto it = all.find(c.id);
      if (it == all.end() || (*it)["null"].is_null()) continue;
      const double low = (*it)["null"]["low"], high = (*it)["null"]["high"];
      widest = widest ? std::pair(std::min(widest->first, low), std::max(widest->second, high))
                      : std::pair(low, high);
    }
    if (widest)
      bands.push_back(
          fmt::format("{} [{}, {}]", c.heading, fixed(widest->first, 3), fixed(widest->second, 3)));
  }
  return fmt::format("{}", fmt::join(bands, ", "));
}

// Why statistics are missing: each reason once, after the statistics it stops.
std::vector<std::string> missing_reasons(const Document& ranking, std::size_t gap) {
  std::vector<std::pair<std::string, std::vector<std::string>>> reasons;  // reason, headings
  for (const Column& c : protocol_columns())
    for (const Document& m : ranking["measures"]) {
      const Document& all = m["results"][gap]["statistics"];
      const auto it = all.find(c.id);
      if (it == all.end() || (*it)["reason"].is_null()) continue;
      const std::string reason = (*it)["reason"];
      auto at =
          std::find_if(reasons.begin(), reasons.end(), [&](const auto& r) { return r.first == reason; });
      if (at == reasons.end()) at = reasons.insert(at, {reason, {}});
      if (at->second.empty() || at->second.back() != c.heading) at->second.emplace_back(c.heading);
    }
  std::vector<std::string> lines;
  for (const auto& [reason, headings] : reasons)
    lines.push_back(fmt::format("{}: {}", fmt::join(headings, ", "), reason));
  return lines;
}

// Order of a gap's table: tau-b, largest first; without one last.
std::vector<std::size_t> order(const Document& ranking, std::size_t gap) {
  std::vector<std::size_t> index(ranking["measures"].size());
  for (std::size_t i = 0; i < index.size(); ++i) index[i] = i;
  const auto key = [&](std::size_t i) {
    const Document& tau = ranking["measures"][i]["results"][gap]["tau_b"];
    return tau.is_null() ? -2.0 : tau.get<double>();
  };
  std::stable_sort(index.begin(), index.end(), [&](std::size_t a, std::size_t b) { return key(a) > key(b); });
  return index;
}

std::vector<std::vector<std::string>> protocol_rows(const Document& ranking, std::size_t gap) {
  std::vector<std::vector<std::string>> all;
  for (const std::size_t i : order(ranking, gap)) all.push_back(protocol_cells(ranking["measures"][i], gap));
  return all;
}

// One line per measure: over how many pairs of levels it orders the gaps wrongly more often than not, and the worst.
std::vector<std::vector<std::string>> family_rows(const Document& ranking, std::size_t gap) {
  std::vector<std::vector<std::string>> all;
  for (const std::size_t i : order(ranking, gap)) {
    const Document& m = ranking["measures"][i];
    int known = 0, wrong = 0;
    const Document* worst = nullptr;
    for (const Document& f : m["results"][gap]["sign_error"]["families"]) {
      if (f["loss"].is_null()) continue;
      ++known;
      wrong += f["loss"].get<double>() > 0.5;
      if (worst == nullptr || f["loss"].get<double>() > (*worst)["loss"].get<double>()) worst = &f;
    }
    if (worst != nullptr)
      all.push_back({m["id"], std::to_string(known), std::to_string(wrong),
                     (*worst)["axis"].get<std::string>() + ": " + level_text((*worst)["from"]) + " to " +
                         level_text((*worst)["to"]),
                     fixed((*worst)["loss"], 3)});
  }
  return all;
}

// Each measure's tau less that of the best one.
std::vector<std::vector<std::string>> difference_rows(const Document& ranking, std::size_t gap) {
  std::vector<std::vector<std::string>> all;
  for (const Document& d : ranking["protocols"][gap]["differences"])
    all.push_back({d["measure"], d["other"], fixed(d["value"], 3), fixed(d["standard_error"], 3),
                   interval_text(d), p_text(d["p"]), p_text(d["p_family"])});
  return all;
}

std::vector<std::vector<std::string>> rows(const Document& ranking, std::size_t gap) {
  std::vector<std::vector<std::string>> all;
  int rank = 0;
  for (const std::size_t i : order(ranking, gap)) all.push_back(cells(ranking["measures"][i], gap, rank));
  return all;
}

std::string gap_title(const Document& gap) {
  return gap["label"].get<std::string>() +
         (gap["unit"].is_null() ? "" : " (" + gap["unit"].get<std::string>() + ")");
}

std::string markdown_cell(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '<' || c == '*' || c == '_' || c == '`' || c == '[' || c == '\\') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

void markdown_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& body,
                    const std::vector<std::size_t>& texts, std::string& out) {
  out += "\n|";
  for (const std::string& h : heads) out += " " + h + " |";
  out += "\n|";
  for (std::size_t c = 0; c < heads.size(); ++c)
    out += std::find(texts.begin(), texts.end(), c) != texts.end() ? "---|" : "---:|";
  out += "\n";
  for (const auto& row : body) {
    out += "|";
    for (const std::string& cell : row) out += " " + markdown_cell(cell) + " |";
    out += "\n";
  }
}

constexpr std::size_t terminal_width = 120;

// Columns side by side as far as the terminal is wide; the others follow below, after the first `keys` columns again.
void aligned_table(const std::vector<std::string>& heads, const std::vector<std::vector<std::string>>& body,
                   const std::vector<std::size_t>& texts, std::size_t keys, std::string& out) {
  std::vector<std::size_t> width;
  for (std::size_t c = 0; c < heads.size(); ++c) {
    width.push_back(heads[c].size());
    for (const auto& row : body) width[c] = std::max(width[c], display_width(row[c]));
  }
  std::vector<std::size_t> shown;
  const auto line = [&](const std::vector<std::string>& row) {
    std::string text;
    for (const std::size_t c : shown) {
      const std::string padding(width[c] - display_width(row[c]), ' ');
      const bool left = std::find(texts.begin(), texts.end(), c) != texts.end();
      text += (text.empty() ? "" : "  ") + (left ? row[c] + padding : padding + row[c]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  for (std::size_t next = keys; next < heads.size();) {
    std::size_t total = 0;
    shown.clear();
    for (std::size_t c = 0; c < keys; ++c) {
      shown.push_back(c);
      total += width[c] + 2;
    }
    do {
      shown.push_back(next);
      total += width[next++] + 2;
    } while (next < heads.size() && total + width[next] <= terminal_width);
    out += line(heads);
    for (const auto& row : body) out += line(row);
    if (next < heads.size()) out += "\n";
  }
}

// Lines of words no wider than the terminal; the second and later ones are indented.
std::string wrapped(const std::string& text, const std::string& first = "", const std::string& indent = "") {
  std::string out = first, word;
  std::size_t at = display_width(first);
  bool fresh = true;
  const auto flush = [&] {
    if (word.empty()) return;
    if (!fresh && at + 1 + display_width(word) > terminal_width) {
      out += "\n" + indent;
      at = indent.size();
      fresh = true;
    }
    out += (fresh ? "" : " ") + word;
    at += display_width(word) + !fresh;
    fresh = false;
    word.clear();
  };
  for (const char c : text) {
    if (c == ' ' || c == '\n')
      flush();
    else
      word += c;
  }
  flush();
  return out + "\n";
}

// The tests over several ledgers against one gap.
std::vector<std::string> comparisons(const Document& ranking, std::size_t gap) {
  std::vector<std::string> sentences;
  if (!ranking.contains("comparison")) return sentences;
  for (const Document& test : ranking["comparison"]["tests"])
    if (test["gap"] == ranking["gaps"][gap]["id"]) sentences.push_back(test["text"]);
  return sentences;
}

}  // namespace

std::string render_json(const Document& ranking) {
  check(ranking);
  return ranking.dump(1) + "\n";
}

std::string render_csv(const Document& ranking) {
  check(ranking);
  std::string out =
      "gap,measure,kind,family,sign,status,n,tau_a,tau_b,low,high,p_value,p_method,concordant,discordant,"
      "ties_measure,ties_gap,ties_both,missing,censored";
  static constexpr const char* parts[] = {"",           "_low",           "_high",     "_null_low",
                                          "_null_high", "_p_permutation", "_p_family", "_q"};
  const auto own_columns = [](const Document& s) {
    return s["id"] == "tau_b" ? 3 : 0;
  };  // that are there already
  for (const Document& s : ranking["statistics"])
    for (int k = own_columns(s); k < 8; ++k) out += "," + csv_cell(s["id"].get<std::string>() + parts[k]);
  out += "\n";
  for (std::size_t g = 0; g < ranking["gaps"].size(); ++g)
    for (const std::size_t i : order(ranking, g)) {
      const Document& m = ranking["measures"][i];
      const Document& r = m["results"][g];
      const Document& interval = r["interval"];
      std::vector<std::string> row = {text_or_empty(r["gap"]),
                                      text_or_empty(m["id"]),
                                      text_or_empty(m["kind"]),
                                      text_or_empty(m["family"]),
                                      text_or_empty(m["sign"]),
                                      text_or_empty(r["status"]),
                                      r["n"].dump(),
                                      text_or_empty(r["tau_a"]),
                                      text_or_empty(r["tau_b"]),
                                      interval.is_null() ? "" : interval["low"].dump(),
                                      interval.is_null() ? "" : interval["high"].dump(),
                                      text_or_empty(r["p_value"]),
                                      text_or_empty(r["p_method"]),
                                      text_or_empty(r.value("concordant", Document())),
                                      text_or_empty(r.value("discordant", Document())),
                                      r["ties"]["measure"].dump(),
                                      r["ties"]["gap"].dump(),
                                      r["ties"]["both"].dump(),
                                      m["counts"]["missing"].dump(),
                                      m["counts"]["censored"].dump()};
      for (const Document& s : ranking["statistics"]) {
        const Document& v = r["statistics"][s["id"].get<std::string>()];
        const auto part = [&](const char* of, const char* key) {
          return v[of].is_null() ? std::string() : text_or_empty(v[of][key]);
        };
        const std::vector<std::string> cells_of = {
            text_or_empty(v["value"]), part("interval", "low"), part("interval", "high"), part("null", "low"),
            part("null", "high"),      part("null", "p"),       part("null", "p_family"), part("null", "q")};
        row.insert(row.end(), cells_of.begin() + own_columns(s), cells_of.end());
      }
      for (std::size_t c = 0; c < row.size(); ++c) out += (c > 0 ? "," : "") + csv_cell(row[c]);
      out += "\n";
    }
  return out;
}

std::string render_markdown(const Document& ranking) {
  check(ranking);
  std::string out =
      "# " + markdown_cell(ranking["title"]) + "\n\n" + markdown_cell(ranking["population"]["text"]) + "\n";
  for (std::size_t g = 0; g < ranking["gaps"].size(); ++g) {
    out += "\n## " + markdown_cell(gap_title(ranking["gaps"][g])) + "\n\n";
    for (const Document& e : ranking["protocols"][g]["evidence"])
      out += "* " + markdown_cell(e["text"]) + "\n";
    markdown_table(headings(), rows(ranking, g), {1, 8}, out);
    if (has_protocols(ranking, g)) markdown_table(protocol_headings(), protocol_rows(ranking, g), {0}, out);
    for (const std::string& line : missing_reasons(ranking, g)) out += "\n- " + markdown_cell(line) + "\n";
    if (const auto body = family_rows(ranking, g); !body.empty())
      markdown_table({"measure", "value pairs", "error above 0.5", "worst value pair", "its sign error"},
                     body, {0, 3}, out);
    if (const auto body = difference_rows(ranking, g); !body.empty())
      markdown_table(
          {"measure", "less", "difference in tau", "standard error", "interval", "p", "family-wise p"}, body,
          {0, 1}, out);
    out += "\n- " + markdown_cell(ranking["protocols"][g]["noise_ceiling"]["text"]) + "\n";
    for (const std::string& sentence : comparisons(ranking, g))
      out += "\n- " + markdown_cell(sentence) + "\n";
  }
  out += fmt::format(
      "\ntau-b: Kendall's rank correlation with the gap. Interval: {:g} % percentile bootstrap over "
      "configurations, {} resamples. "
      "p: two-sided, against independence. Ties: pairs tied in the measure / the gap / both. "
      "Psi: granulated Kendall. K: Jiang's conditional mutual information. PGDL: the competition's score. "
      "Sign error: "
      "mean, 90th percentile and maximum over environments. Null: where the statistic falls when the "
      "measures of "
      "whole configurations are permuted. *: family-wise permutation p below 0.05. Value pair: all "
      "environments "
      "that differ in the same two levels of one axis, merged.\n",
      100 * ranking["bootstrap"]["level"].get<double>(), ranking["bootstrap"]["resamples"].dump());
  for (const Document& note : ranking["notes"]) out += "\n" + markdown_cell(note) + "\n";
  return out;
}

std::string render_table(const Document& ranking) {
  check(ranking);
  std::string out =
      wrapped(ranking["title"].get<std::string>() + ": " + ranking["population"]["text"].get<std::string>());
  const auto item = [&](const std::string& text) { out += wrapped(text, "- ", "  "); };
  for (std::size_t g = 0; g < ranking["gaps"].size(); ++g) {
    const Document& protocol = ranking["protocols"][g];
    out += "\n" + gap_title(ranking["gaps"][g]) + "\n";
    aligned_table(headings(), rows(ranking, g), {1, 3, 8}, 2, out);
    if (has_protocols(ranking, g)) {
      out += "\n";
      aligned_table(narrow_headings(), narrow_rows(protocol_rows(ranking, g)), {0}, 1, out);
    }
    out += "\n";
    if (const std::string bands = null_bands(ranking, g); !bands.empty())
      item("widest null band of any measure: " + bands);
    for (const std::string& line : missing_reasons(ranking, g)) item(line);
    for (const Document& e : protocol["evidence"]) item(e["text"]);
    item(protocol["noise_ceiling"]["text"]);
    for (const std::string& sentence : comparisons(ranking, g)) item(sentence);
  }
  out +=
      "\n" +
      wrapped(
          "*: family-wise permutation p below 0.05. null band: where the statistic falls when measures are "
          "permuted.");
  for (const Document& note : ranking["notes"]) out += "\n" + wrapped(note, "note: ");
  return out;
}

}  // namespace gapbench::reports
