// Downloads data sets from their public homes: verified by SHA-256, resumed where a download was cut, nothing
// half-written.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gapbench {

/// One file to download.
struct RemoteFile {
  std::string url;
  std::string name;    ///< under which it is kept
  std::string sha256;  ///< of the whole file
};

/// Where a data set comes from; `archive_folder` is not empty when its one file is a tar.gz with that folder
/// in it.
struct RemoteDataset {
  std::string name;
  std::vector<RemoteFile> files;
  std::string archive_folder;
  std::vector<std::string> members;  ///< files of the folder that are taken out
};

struct FetchOptions {
  std::function<void(const std::string&)> note;  ///< a line of progress
  std::function<bool()> stop_requested;          ///< true: keep what came and throw InputError
  std::string base_url;     ///< replaces everything before the last slash of each URL (mirrors, tests)
  int attempts = 4;         ///< of each file; a cut transfer goes on where it was
  double retry_wait_s = 1;  ///< before the second attempt, doubled for each further one
};

/// The sets that fetch_dataset knows.
const std::vector<RemoteDataset>& remote_datasets();

/// Puts the set's files into dir/<name>/ (CIFAR: dir/<archive folder>/). Files that are there and right are
/// not fetched again. Throws InputError: unknown set; embedded set; no network (host and reason, and what to
/// do by hand); another digest than expected (the file is removed).
void fetch_dataset(const std::string& name, const std::filesystem::path& dir,
                   const FetchOptions& options = {});
/// The same for a description of one's own.
void fetch_dataset(const RemoteDataset& set, const std::filesystem::path& dir, const FetchOptions& options);

}  // namespace gapbench
