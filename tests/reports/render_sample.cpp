// render_sample FILE FORMAT: renders a ranking document to stdout, for the tests and for approving golden files.
#include <fstream>
#include <iostream>

#include "reports/report.h"

int main(int argc, char** argv) {
  using namespace gapbench::reports;
  if (argc != 3) return 1;
  std::ifstream in(argv[1]);
  const std::string format = argv[2];
  try {
    const Document document = Document::parse(in);
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
