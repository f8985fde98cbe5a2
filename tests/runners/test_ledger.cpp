// Tables: CSV in and out, cells as numbers, messages that name the place.
#include <cmath>
#include <cstdlib>
#include <limits>

#include "measures/api/error.h"
#include "runners/ledger/table.h"
#include "tests/support/catch.h"
#include "tests/support/temporary.h"

using namespace gapbench;
using Cells = std::vector<std::string>;

namespace {

Cells row(const Table& t, std::size_t r) {
  Cells cells;
  for (std::size_t c = 0; c < t.columns().size(); ++c) cells.push_back(t.cell(r, c));
  return cells;
}

std::string message(const std::string& csv) {
  try {
    Table::parse_csv(csv, "file.csv");
  } catch (const InputError& e) {
    return e.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  INFO(text << " | " << part);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("CSV: plain cells, empty cells, line ends") {
  for (const std::string end : {"\n", "\r\n"}) {
    const Table t = Table::parse_csv("a,b,c" + end + "1,2,3" + end + ",," + end + "x, y ,", "f");
    REQUIRE(t.columns() == Cells{"a", "b", "c"});
    REQUIRE(t.rows() == 3);
    CHECK(row(t, 0) == Cells{"1", "2", "3"});
    CHECK(row(t, 1) == Cells{"", "", ""});
    CHECK(row(t, 2) == Cells{"x", " y ", ""});
  }
}

TEST_CASE("CSV: quotes, doubled quotes, commas and line ends inside") {
  const Table t = Table::parse_csv("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n\"two\nlines\",\"\"\n\"\",last\n", "f");
  REQUIRE(t.rows() == 3);
  CHECK(row(t, 0) == Cells{"x,y", "say \"hi\""});
  CHECK(row(t, 1) == Cells{"two\nlines", ""});
  CHECK(row(t, 2) == Cells{"", "last"});
}

TEST_CASE("CSV: byte order mark, blank lines, spaces around header names, header alone") {
  const Table t = Table::parse_csv("\xEF\xBB\xBF a , b\n\n1,2\n\n\n3,4\n\n", "f");
  CHECK(t.columns() == Cells{"a", "b"});
  REQUIRE(t.rows() == 2);
  CHECK(row(t, 1) == Cells{"3", "4"});
  CHECK(Table::parse_csv("a,b", "f").rows() == 0);
}

TEST_CASE("CSV: faults name the source and the line") {
  contains(message(""), "file.csv: the file is empty");
  contains(message("\n\n"), "file.csv: the file is empty");
  contains(message("a,a\n"), "column 'a' is there twice");
  contains(message("a,b\n1,2\n3\n"), "file.csv: line 3 has 1 cells, the header has 2");
  contains(message("a,b\n1,2,3\n"), "file.csv: line 2 has 3 cells, the header has 2");
  contains(message("a,b\n\n\n1,2,\n"), "file.csv: line 4 has 3 cells");
  contains(message("a,b\n\"x\ny\",2\n1\n"),
           "file.csv: line 4 has 1 cells");  // a record of two lines before it
  contains(message("a,b\n\"x,2\n1,2\n"), "file.csv: line 2: a quoted cell is never closed");
  contains(message("a,b\n\"x\"z,2\n"), "file.csv: line 2: expected a comma or the end of the line");
}

TEST_CASE("CSV: what is written reads back") {
  Table t({"plain", "needs, quotes", "q\"q"}, "f");
  t.add_row({"1", " padded ", "a\r\nb"});
  t.add_row({"", "\"", "é"});
  CHECK(t.to_csv() == "plain,\"needs, quotes\",\"q\"\"q\"\n1,\" padded \",\"a\r\nb\"\n,\"\"\"\",é\n");
  const Table again = Table::parse_csv(t.to_csv(), "f");
  CHECK(again.columns() == t.columns());
  REQUIRE(again.rows() == 2);
  CHECK(row(again, 0) == row(t, 0));
  CHECK(row(again, 1) == row(t, 1));
  CHECK_THROWS_AS(t.add_row({"too", "few"}), InternalError);

  const testing::TemporaryDir folder;
  testing::write_text(folder / "t.csv", t.to_csv());
  CHECK(Table::read_csv(folder / "t.csv").to_csv() == t.to_csv());
  CHECK_THROWS_AS(Table::read_csv(folder / "none.csv"), InputError);
  CHECK_THROWS_AS(Table::read_csv(folder.path()), InputError);
}

TEST_CASE("CSV: a column alone keeps its quoted empty cell") {
  const Table t = Table::parse_csv("a\n1\n\"\"\n\n2\n", "f");
  REQUIRE(t.rows() == 3);  // the blank line is none, the quoted cell is one
  CHECK(t.cell(1, 0).empty());
  CHECK(t.cell(2, 0) == "2");
  CHECK(Table::parse_csv(t.to_csv(), "f").rows() == 3);
}

TEST_CASE("cells as numbers") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  Table t({"v"}, "f.csv");
  const std::vector<std::pair<std::string, double>> numbers = {
      {"1.5", 1.5},  {" -2e3\t", -2000},  {"+7", 7},      {"True", 1},      {"false", 0},    {"inf", inf},
      {"+Inf", inf}, {"-Infinity", -inf}, {"1e999", inf}, {"-1e999", -inf}, {"1e-999", 0.0}, {".5", 0.5}};
  for (const auto& [text, value] : numbers) t.add_row({text});
  for (std::size_t r = 0; r < numbers.size(); ++r) {
    INFO(numbers[r].first);
    REQUIRE(t.number(r, 0).has_value());
    CHECK(*t.number(r, 0) == numbers[r].second);
  }
  Table missing({"v"}, "f.csv");
  for (const char* text : {"", "  ", "nan", "NaN", "-nan", "None", "null", "NA", "n/a"})
    missing.add_row({text});
  for (std::size_t r = 0; r < missing.rows(); ++r) CHECK_FALSE(missing.number(r, 0).has_value());
  for (const char* text : {"abc", "1.5x", "1,5", "0x10", "--1", "+-1", "+", "1 2"}) {
    Table bad({"ok", "v"}, "f.csv");
    bad.add_row({"1", "2"});
    bad.add_row({"1", text});
    try {
      bad.number(1, 1);
      FAIL("accepted " << text);
    } catch (const InputError& e) {
      contains(e.what(), std::string("f.csv: row 2, column 'v': expected a number, found '") + text + "'");
    }
  }
}

TEST_CASE("columns are found by name and by pattern") {
  const Table t({"hp.lr", "hp.width", "complexity.wc", "gen.gap"}, "f.csv");
  CHECK(t.at("hp.width") == 1);
  CHECK(t.has("gen.gap"));
  CHECK_FALSE(t.find("gen").has_value());
  CHECK(t.matching("hp.*") == Cells{"hp.lr", "hp.width"});
  CHECK(t.matching("*g??") == Cells{"gen.gap"});
  CHECK(t.matching("nothing*").empty());
  try {
    t.at("hp.widht");
    FAIL("found a column that is not there");
  } catch (const InputError& e) {
    contains(e.what(), "f.csv: no column 'hp.widht'; did you mean 'hp.width'?");
  }
}

TEST_CASE("number_text is the shortest text that reads back") {
  CHECK(number_text(0.1) == "0.1");
  CHECK(number_text(1.0 / 3) == "0.3333333333333333");
  CHECK(number_text(std::numeric_limits<double>::infinity()) == "inf");
  CHECK(number_text(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(number_text(std::nan("")) == "nan");
  for (const double v : {5e-324, 1.7976931348623157e308, -0.1, 123456789.123456789, 1e22})
    CHECK(std::strtod(number_text(v).c_str(), nullptr) == v);
}
