// A table of text cells under named columns: what a ledger or anybody's CSV is before it means something. No
// Torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gapbench {

class Table {
 public:
  Table() = default;
  /// Throws InputError on a repeated column name. `source` names the table in messages.
  Table(std::vector<std::string> columns, std::string source);

  const std::vector<std::string>& columns() const { return columns_; }
  std::size_t rows() const { return rows_.size(); }
  const std::string& source() const { return source_; }

  bool has(std::string_view column) const { return find(column).has_value(); }
  std::optional<std::size_t> find(std::string_view column) const;
  /// Throws InputError with the nearest column.
  std::size_t at(std::string_view column) const;
  /// Columns that match the pattern (`*` any run, `?` one character), in order.
  std::vector<std::string> matching(std::string_view pattern) const;

  const std::string& cell(std::size_t row, std::size_t column) const { return rows_[row][column]; }
  /// The cell as a number; nothing for a missing one (empty, nan, null, none, na in any case). "inf" and
  /// "-inf" are numbers; "true"/"false" are 1 and 0. Throws InputError that names row and column on any other
  /// text.
  std::optional<double> number(std::size_t row, std::size_t column) const;

  /// Throws InternalError when the number of cells is not that of the columns.
  void add_row(std::vector<std::string> cells);

  /// RFC 4180: quotes, embedded line ends, LF or CRLF, an optional UTF-8 byte order mark. Blank lines are
  /// passed over. Throws InputError that names source, line, and what was expected and found.
  static Table parse_csv(std::string_view text, const std::string& source);
  static Table read_csv(const std::filesystem::path& file);
  /// Quotes only where needed; LF.
  std::string to_csv() const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::string source_;
};

/// Shortest text that reads back as the same double; "inf", "-inf", "nan".
std::string number_text(double value);

/// One CSV field, quoted where it needs to be.
std::string csv_field(std::string_view text);

}  // namespace gapbench
