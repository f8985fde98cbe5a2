// render_sample FILE FORMAT: renders a ranking document to stdout, for the tests and for approving golden files.
// render_sample FILE damage: reads lines {"at": JSON pointer, "value": ...}, or without "value" to erase; answers each
// with what the check says of the document with that damage, "" where all renderers take it.
#include <fstream>
#include <iostream>

#include "reports/report.h"

namespace {

using namespace gapbench::reports;

std::string verdict(const Document& document) {
  try {
    check(document);
  } catch (const DocumentError& e) {
    return e.what();
  }
  for (const auto render : {render_html, render_markdown, render_csv, render_table, render_json})
    render(document);
  return "";
}

void answer_damage(const Document& document) {
  for (std::string line; std::getline(std::cin, line);) {
    const Document order = Document::parse(line);
    const Document::json_pointer at(order["at"].get<std::string>());
    Document damaged = document;
    Document& holder = damaged[at.parent_pointer()];
    if (order.contains("value"))
      damaged[at] = order["value"];
    else if (holder.is_array())
      holder.erase(std::stoul(at.back()));
    else
      holder.erase(at.back());
    std::cout << Document(verdict(damaged)).dump() << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 1;
  std::ifstream in(argv[1]);
  const std::string format = argv[2];
  try {
    const Document document = Document::parse(in);
    if (format == "damage") {
      answer_damage(document);
      return 0;
    }
    std::cout << (format == "html"   ? render_html(document)
                  : format == "md"   ? render_markdown(document)
                  : format == "csv"  ? render_csv(document)
                  : format == "json" ? render_json(document)
                                     : render_table(document));
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 2;
  }
}
