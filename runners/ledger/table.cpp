#include "runners/ledger/table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <set>

#include "measures/api/error.h"
#include "measures/api/glob.h"
#include "measures/api/suggest.h"

namespace gapbench {

namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Table::Table(std::vector<std::string> columns, std::string source)
    : columns_(std::move(columns)), source_(std::move(source)) {
  std::set<std::string> seen;
  for (const std::string& c : columns_)
    if (!seen.insert(c).second)
      throw InputError(source_ + ": column '" + c + "' is there twice; every column needs a name of its own");
}

std::optional<std::size_t> Table::find(std::string_view column) const {
  const auto it = std::find(columns_.begin(), columns_.end(), column);
  if (it == columns_.end()) return std::nullopt;
  return static_cast<std::size_t>(it - columns_.begin());
}

std::size_t Table::at(std::string_view column) const {
  if (const auto index = find(column)) return *index;
  throw InputError(source_ + ": no column '" + std::string(column) + "'" + suggestion(column, columns_));
}

std::vector<std::string> Table::matching(std::string_view pattern) const {
  std::vector<std::string> found;
  for (const std::string& c : columns_)
    if (glob_match(pattern, c)) found.push_back(c);
  return found;
}

std::optional<double> Table::number(std::size_t row, std::size_t column) const {
  const std::string_view text = trim(rows_[row][column]);
  const std::string word = lower(text);
  static constexpr std::array<std::string_view, 6> missing = {"", "nan", "null", "none", "na", "n/a"};
  if (std::find(missing.begin(), missing.end(), word) != missing.end()) return std::nullopt;
  if (word == "true") return 1.0;
  if (word == "false") return 0.0;
  if (word == "inf" || word == "+inf" || word == "infinity") return std::numeric_limits<double>::infinity();
  if (word == "-inf" || word == "-infinity") return -std::numeric_limits<double>::infinity();
  double value = 0;
  const bool plus = text.front() == '+' && text.substr(1, 1) != "-";
  const char* first = text.data() + (plus ? 1 : 0);  // from_chars takes no plus
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, value);
  if (end == last && error == std::errc())
    return std::isnan(value) ? std::nullopt : std::optional(value);  // "-nan", as C's printf has it
  if (end == last &&
      error == std::errc::result_out_of_range) {  // beyond a double: as strtod has it, 0 or infinity
    return std::strtod(std::string(text).c_str(), nullptr);
  }
  throw InputError(source_ + ": row " + std::to_string(row + 1) + ", column '" + columns_[column] +
                   "': expected a number, found '" + std::string(text) + "'");
}

void Table::add_row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size())
    throw InternalError("a row of " + std::to_string(cells.size()) + " cells in a table of " +
                        std::to_string(columns_.size()));
  rows_.push_back(std::move(cells));
}

Table Table::parse_csv(std::string_view text, const std::string& source) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  std::optional<Table> table;
  std::vector<std::string> cells;
  std::size_t line = 1, record_line = 1, i = 0;
  bool quoted = false;  // some cell of this record: "" alone on a line is a row, not a blank line
  const auto end_record = [&] {
    if (cells.size() == 1 && cells[0].empty() && !quoted) {  // a blank line
      cells.clear();
    } else if (!table) {
      for (std::string& c : cells) c = std::string(trim(c));
      table.emplace(std::move(cells), source);
    } else {
      if (cells.size() != table->columns().size())
        throw InputError(source + ": line " + std::to_string(record_line) + " has " +
                         std::to_string(cells.size()) + " cells, the header has " +
                         std::to_string(table->columns().size()));
      table->add_row(std::move(cells));
    }
    cells = {};
    quoted = false;
    record_line = line;
  };
  while (i < text.size()) {
    std::string cell;
    if (text[i] == '"') {
      const std::size_t opened = line;
      quoted = true;
      for (++i;; ++i) {
        if (i >= text.size())
          throw InputError(source + ": line " + std::to_string(opened) + ": a quoted cell is never closed");
        if (text[i] == '\n') ++line;
        if (text[i] != '"')
          cell += text[i];
        else if (i + 1 < text.size() && text[i + 1] == '"')
          cell += text[++i];
        else
          break;
      }
      ++i;
      if (i < text.size() && text[i] != ',' && text[i] != '\n' && text[i] != '\r')
        throw InputError(source + ": line " + std::to_string(line) +
                         ": expected a comma or the end of the line after a quoted cell, found '" + text[i] +
                         "'");
    } else {
      while (i < text.size() && text[i] != ',' && text[i] != '\n' && text[i] != '\r') cell += text[i++];
    }
    cells.push_back(std::move(cell));
    if (i < text.size() && text[i] == ',') {
      if (++i == text.size()) cells.emplace_back();  // a comma that ends the file: one more empty cell
      if (i < text.size() && (text[i] == '\n' || text[i] == '\r')) cells.emplace_back();
      if (i < text.size() && text[i] != '\n' && text[i] != '\r') continue;
    }
    if (i < text.size() && text[i] == '\r') ++i;
    if (i < text.size() && text[i] == '\n') ++i;
    ++line;
    end_record();
  }
  if (!cells.empty()) end_record();
  if (!table) throw InputError(source + ": the file is empty; expected a CSV with a header line");
  return std::move(*table);
}

Table Table::read_csv(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file))
    throw InputError("cannot read " + file.string() + ": no such file, or it is not readable");
  return parse_csv(std::string(std::istreambuf_iterator<char>(in), {}), file.string());
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos && trim(text).size() == text.size())
    return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string Table::to_csv() const {
  std::string out;
  const auto add = [&out](const std::vector<std::string>& cells) {
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (c > 0) out += ',';
      out += cells.size() == 1 && cells[c].empty() ? "\"\"" : csv_field(cells[c]);  // no blank line
    }
    out += '\n';
  };
  add(columns_);
  for (const auto& row : rows_) add(row);
  return out;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

}  // namespace gapbench
