// Golden files of the text renderers, and what happens to malformed documents.
#include <functional>

#include "reports/report.h"
#include "tests/support/catch.h"
#include "tests/support/temporary.h"

using namespace gapbench::reports;
using gapbench::testing::read_text;

namespace {

const std::filesystem::path here = GAPBENCH_TEST_DIR;

Document sample() {
  return Document::parse(read_text(here / "data/ranking.json"));
}

std::string error_of(const std::function<void(Document&)>& damage) {
  Document document = sample();
  damage(document);
  try {
    check(document);
  } catch (const DocumentError& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("text renderers give the approved output") {
  // approve a change after reading it: tests/reports/approve.sh BUILD_FOLDER
  CHECK(render_markdown(sample()) == read_text(here / "golden/ranking.md"));
  CHECK(render_csv(sample()) == read_text(here / "golden/ranking.csv"));
  CHECK(render_table(sample()) == read_text(here / "golden/ranking.txt"));
}

TEST_CASE("no line of the terminal's tables is wider than 120 columns, and no number is lost to that") {
  Document document = sample();
  const std::string table = render_table(document);
  document["measures"][0]["id"] = std::string(70, 'm');  // a name that leaves room for little else
  for (const std::string& text : {table, render_table(document)}) {
    std::size_t widest = 0, columns = 0;
    for (const char c : text) {
      columns = c == '\n' ? 0 : columns + ((static_cast<unsigned char>(c) & 0xC0) != 0x80);
      widest = std::max(widest, columns);
    }
    CHECK(widest <= 120);
    CHECK(text.find("0.450 [0.350, 0.550] *") != std::string::npos);
    CHECK(text.find("4 (2 missing) (1 censored)") != std::string::npos);
  }
}

TEST_CASE("text and Markdown say what the document says") {
  const Document document = sample();
  const auto words = [](std::string text) {  // without line breaks and escapes
    std::string out;
    for (const char c : text)
      if (c != '\\' && !(c == ' ' && !out.empty() && out.back() == ' ')) out += c == '\n' ? ' ' : c;
    std::string single;
    for (const char c : out)
      if (!(c == ' ' && !single.empty() && single.back() == ' ')) single += c;
    return single;
  };
  for (const std::string& text : {words(render_table(document)), words(render_markdown(document))}) {
    CHECK(text.find(document["population"]["text"].get<std::string>()) != std::string::npos);
    for (const Document& protocol : document["protocols"]) {
      CHECK(text.find(protocol["noise_ceiling"]["text"].get<std::string>()) != std::string::npos);
      for (const Document& e : protocol["evidence"])
        CHECK(text.find(e["text"].get<std::string>()) != std::string::npos);
    }
    for (const Document& test : document["comparison"]["tests"])
      CHECK(text.find(test["text"].get<std::string>()) != std::string::npos);
  }
}

TEST_CASE("the worst value pair is named, and pairs ordered wrongly more often than not are counted") {
  const std::string markdown = render_markdown(sample());
  for (const char* row : {"| alpha | 2 | 0 | network: fcn to nin | 0.400 |",
                          "| num-params | 2 | 1 | network: fcn to nin | 0.750 |",
                          "| baseline-random | 2 | 1 | lr: 0.01 to 0.1 | 0.550 |",
                          "| beta | 1 | 1 | network: fcn to nin | 0.625 |",
                          "alert(1)\\</script> | 2 | 2 | lr: 0.01 to 0.1 | 0.900 |"})
    CHECK(markdown.find(row) != std::string::npos);
}

TEST_CASE("the JSON rendering reads back as the same document") {
  CHECK(Document::parse(render_json(sample())) == sample());
}

TEST_CASE("the page holds the document and lets no markup through") {
  const std::string page = render_html(sample());
  const auto body = page.find("<body>");
  REQUIRE(body != std::string::npos);
  CHECK(page.find("<script>alert(1)") == std::string::npos);
  CHECK(page.find("<script>window.hacked") == std::string::npos);
  CHECK(page.find("A <b>sample</b>") == std::string::npos);
  CHECK(page.find("A &lt;b&gt;sample&lt;/b&gt; &amp; &quot;more&quot;") != std::string::npos);
  CHECK(page.find("{{") == std::string::npos);
  const std::string open = "id=\"document\">";
  const auto start = page.find(open) + open.size();
  CHECK(Document::parse(page.substr(start, page.find("</script>", start) - start)) == sample());
}

TEST_CASE("a malformed document is refused by name") {
  CHECK(error_of([](Document&) {}).empty());
  CHECK(error_of([](Document& d) { d["schema"] = "gapbench/ranking/9"; }) ==
        "ranking.schema: expected gapbench/ranking/3, found \"gapbench/ranking/9\"");
  CHECK(error_of([](Document& d) { d.erase("measures"); }) == "ranking: the key 'measures' is missing");
  CHECK(error_of([](Document& d) { d["title"] = 3; }) == "ranking.title: expected a text, found 3");
  CHECK(error_of([](Document& d) { d["measures"][1]["results"][0]["tau_b"] = "x"; }) ==
        "ranking.measures[1].results[0].tau_b: expected a number or null, found \"x\"");
  CHECK(error_of([](Document& d) {
          d["measures"][0]["results"].erase(1);
        }).find("expected 2 results, one per gap, found 1") != std::string::npos);
  CHECK(error_of([](Document& d) {
          d["measures"][0]["results"][1]["gap"] = "gap_error";
        }).find("expected gap_loss") != std::string::npos);
  CHECK(error_of([](Document& d) {
          d["measures"][0]["results"][0]["interval"] = {{"low", 1}};
        }).find("'high' is missing") != std::string::npos);
  CHECK(error_of([](Document& d) { d["gaps"] = Document::array(); }).find("at least 1 entry") !=
        std::string::npos);
  CHECK(error_of([](Document& d) { d["models"][2].erase("gaps"); }) ==
        "ranking.models[2]: the key 'gaps' is missing");
  CHECK(error_of([](Document& d) { d["axes"] = 1; }) == "ranking.axes: expected a list, found 1");
  CHECK(error_of([](Document& d) { d["notes"] = Document::array({1}); }).find("ranking.notes") !=
        std::string::npos);
  CHECK(error_of([](Document& d) {
          d["measures"][0]["results"][0]["statistics"].erase("psi");
        }).find("'psi' is missing") != std::string::npos);
  CHECK(error_of([](Document& d) {
          d["measures"][0]["results"][0]["statistics"]["psi"]["null"]["p"] = "x";
        }) == "ranking.measures[0].results[0].statistics.psi.null.p: expected a number, found \"x\"");
  CHECK(error_of([](Document& d) { d["protocols"].erase(1); }).find("expected 2 protocols, one per gap") !=
        std::string::npos);
  CHECK(error_of([](Document& d) { d = 1; }) == "ranking: expected an object, found 1");
}
