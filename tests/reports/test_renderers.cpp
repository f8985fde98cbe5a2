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

TEST_CASE("a known noise ceiling is said in numbers") {
  Document document = sample();
  document["protocols"][0]["noise_ceiling"] = {
      {"tau_b", 0.875}, {"spearman", 0.9}, {"n", 6}, {"reason", nullptr}};
  CHECK(render_markdown(document).find("tau-b is 0.875 and Spearman's correlation 0.900 (6 models)") !=
        std::string::npos);
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
        "ranking.schema: expected gapbench/ranking/2, found \"gapbench/ranking/9\"");
  CHECK(error_of([](Document& d) { d.erase("measures"); }) == "ranking: the key 'measures' is missing");
  CHECK(error_of([](Document& d) { d["title"] = 3; }) == "ranking.title: expected a text, found 3");
  CHECK(error_of([](Document& d) { d["measures"][1]["results"][0]["tau_b"] = "x"; }) ==
        "ranking.measures[1].results[0].tau_b: expected a number or null, found \"x\"");
  CHECK(error_of([](Document& d) { d["measures"][0]["results"].erase(1); }).find("expected 2 results, one per gap, found 1") !=
        std::string::npos);
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
