// One self-contained page: template, styles, script and Chart.js are built in, the document goes along as
// JSON.
#include "chart_js.embedded.h"
#include "page_css.embedded.h"
#include "page_html.embedded.h"
#include "page_js.embedded.h"
#include "reports/report.h"

namespace gapbench::reports {

namespace {

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

// JSON inside a script element: no "<" may appear that could end it or open a comment.
std::string escape_json(const Document& value) {
  std::string out;
  for (const char c : value.dump()) {
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string render_html(const Document& ranking) {
  check(ranking);
  const std::string_view page = embedded::page_html();
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t open = page.find("{{", at);
    out += page.substr(at, open - at);
    if (open == std::string_view::npos) return out;
    const std::size_t close = page.find("}}", open);
    const std::string_view name = page.substr(open + 2, close - open - 2);
    if (name == "title")
      out += escape_html(ranking["title"]);
    else if (name == "style")
      out += embedded::page_css();
    else if (name == "document")
      out += escape_json(ranking);
    else if (name == "chart")
      out += embedded::chart_js();
    else if (name == "script")
      out += embedded::page_js();
    at = close + 2;
  }
}

}  // namespace gapbench::reports
