// JSON, CSV, Markdown and terminal table.
#include <fmt/format.h>

#include <algorithm>

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

}  // namespace

std::string render_json(const Document& ranking) {
  check(ranking);
  return ranking.dump(1) + "\n";
}

std::string render_csv(const Document& ranking) {
  check(ranking);
  std::string out =
      "gap,measure,kind,family,sign,status,n,tau_a,tau_b,low,high,p_value,p_method,concordant,discordant,"
      "ties_measure,ties_gap,ties_both,missing,censored\n";
  for (std::size_t g = 0; g < ranking["gaps"].size(); ++g)
    for (const std::size_t i : order(ranking, g)) {
      const Document& m = ranking["measures"][i];
      const Document& r = m["results"][g];
      const Document& interval = r["interval"];
      const std::vector<std::string> row = {text_or_empty(r["gap"]),
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
      for (std::size_t c = 0; c < row.size(); ++c) out += (c > 0 ? "," : "") + csv_cell(row[c]);
      out += "\n";
    }
  return out;
}

std::string render_markdown(const Document& ranking) {
  check(ranking);
  std::string out = "# " + markdown_cell(ranking["title"]) + "\n\n" + population_sentence(ranking) + "\n";
  for (std::size_t g = 0; g < ranking["gaps"].size(); ++g) {
    out += "\n## " + markdown_cell(gap_title(ranking["gaps"][g])) + "\n\n";
    for (const std::string& sentence : evidence(ranking, g)) out += "* " + markdown_cell(sentence) + "\n";
    out += "\n|";
    for (const std::string& h : headings()) out += " " + h + " |";
    out += "\n|";
    for (std::size_t c = 0; c < headings().size(); ++c) out += c == 1 || c == 8 ? "---|" : "---:|";
    out += "\n";
    for (const auto& row : rows(ranking, g)) {
      out += "|";
      for (const std::string& cell : row) out += " " + markdown_cell(cell) + " |";
      out += "\n";
    }
  }
  out += fmt::format(
      "\ntau-b: Kendall's rank correlation with the gap. Interval: {:g} % percentile bootstrap over "
      "configurations, {} resamples. "
      "p: two-sided, against independence. Ties: pairs tied in the measure / the gap / both.\n",
      100 * ranking["bootstrap"]["level"].get<double>(), ranking["bootstrap"]["resamples"].dump());
  for (const Document& note : ranking["notes"]) out += "\n" + markdown_cell(note) + "\n";
  return out;
}

std::string render_table(const Document& ranking) {
  check(ranking);
  std::string out = ranking["title"].get<std::string>() + ": " + population_sentence(ranking) + "\n";
  for (std::size_t g = 0; g < ranking["gaps"].size(); ++g) {
    const auto body = rows(ranking, g);
    std::vector<std::size_t> width;
    for (std::size_t c = 0; c < headings().size(); ++c) {
      width.push_back(headings()[c].size());
      for (const auto& row : body) width[c] = std::max(width[c], display_width(row[c]));
    }
    const auto line = [&](const std::vector<std::string>& row) {
      std::string text;
      for (std::size_t c = 0; c < row.size(); ++c) {
        const std::string padding(width[c] - display_width(row[c]), ' ');
        text += (c > 0 ? "  " : "") + (c == 1 || c == 3 || c == 8 ? row[c] + padding : padding + row[c]);
      }
      text.erase(text.find_last_not_of(' ') + 1);
      return text + "\n";
    };
    out += "\n" + gap_title(ranking["gaps"][g]) + "\n" + line(headings());
    for (const auto& row : body) out += line(row);
  }
  for (const Document& note : ranking["notes"]) out += "\nnote: " + note.get<std::string>() + "\n";
  return out;
}

}  // namespace gapbench::reports
