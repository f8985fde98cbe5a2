// fetch_tool DIR BASE_URL ARCHIVE_FOLDER MEMBERS FILE SHA256 [FILE SHA256 ...]: fetch_dataset() with a description from the
// command line, for the test that runs a server. ARCHIVE_FOLDER and MEMBERS (comma-separated) may be "-".
#include <cstdio>
#include <sstream>

#include "measures/api/error.h"
#include "zoo/data/fetch.h"

int main(int argc, char** argv) {
  using namespace gapbench;
  RemoteDataset set;
  set.name = "set";
  const std::string base = argv[2];
  if (std::string(argv[3]) != "-") {
    set.archive_folder = argv[3];
    std::stringstream members(argv[4]);
    for (std::string member; std::getline(members, member, ',');) set.members.push_back(member);
  }
  for (int i = 5; i + 1 < argc; i += 2) set.files.push_back({base + "/" + argv[i], argv[i], argv[i + 1]});
  FetchOptions options;
  options.retry_wait_s = 0.05;
  options.note = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
  try {
    fetch_dataset(set, argv[1], options);
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.exit_code;
  }
  return 0;
}
