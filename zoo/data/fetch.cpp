#include "zoo/data/fetch.h"

#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "measures/api/error.h"
#include "measures/api/suggest.h"
#include "zoo/store/atomic_file.h"
#include "zoo/store/sha256.h"

namespace gapbench {

namespace fs = std::filesystem;

namespace {

RemoteDataset idx_set(const std::string& name, const std::string& home, const char* train_images,
                      const char* train_labels, const char* test_images, const char* test_labels) {
  RemoteDataset set{name, {}, "", {}};
  const std::pair<const char*, const char*> files[] = {{"train-images-idx3-ubyte.gz", train_images},
                                                       {"train-labels-idx1-ubyte.gz", train_labels},
                                                       {"t10k-images-idx3-ubyte.gz", test_images},
                                                       {"t10k-labels-idx1-ubyte.gz", test_labels}};
  for (const auto& [file, digest] : files) set.files.push_back({home + file, file, digest});
  return set;
}

struct CloseFile {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

struct Transfer {
  std::FILE* file = nullptr;
  curl_off_t resumed_from = 0;
  const FetchOptions* options = nullptr;
  std::chrono::steady_clock::time_point last_note = std::chrono::steady_clock::now();
  std::string name;
};

std::size_t on_data(char* data, std::size_t size, std::size_t count, void* user) {
  return std::fwrite(data, size, count, static_cast<Transfer*>(user)->file);
}

int on_progress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  auto& t = *static_cast<Transfer*>(user);
  const auto clock = std::chrono::steady_clock::now();
  if (t.options->note && clock - t.last_note > std::chrono::seconds(2)) {
    t.last_note = clock;
    const auto mib = [](curl_off_t bytes) { return std::to_string(bytes >> 20); };
    t.options->note(t.name + ": " + mib(t.resumed_from + now) +
                    (total > 0 ? " of " + mib(t.resumed_from + total) : "") + " MiB");
  }
  return t.options->stop_requested && t.options->stop_requested() ? 1 : 0;
}

struct Attempt {
  bool done = false;
  bool retry = false;  ///< another attempt may help
  std::string reason;
};

// One HTTP transfer that appends to `part`.
Attempt download_once(const std::string& url, const fs::path& part, const std::string& name,
                      const FetchOptions& options) {
  const File file(std::fopen(part.c_str(), "ab"));
  if (!file) throw InputError("cannot write " + part.string() + "; choose another --dir");
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) throw InternalError("libcurl does not start");
  std::error_code ignored;
  Transfer transfer;
  transfer.file = file.get();
  transfer.resumed_from = static_cast<curl_off_t>(fs::file_size(part, ignored));
  transfer.options = &options;
  transfer.name = name;
  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, 20L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_LIMIT, 100L);
  curl_easy_setopt(curl.get(), CURLOPT_LOW_SPEED_TIME, 60L);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, reason);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, on_data);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_RESUME_FROM_LARGE, transfer.resumed_from);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "gapbench");
  const CURLcode code = curl_easy_perform(curl.get());
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  if (code == CURLE_OK) return {true, false, ""};
  if (code == CURLE_ABORTED_BY_CALLBACK)
    throw InputError("fetch of " + url + " was stopped; what came is kept in " + part.string() +
                     " and the same command goes on from there");
  if (code == CURLE_WRITE_ERROR)
    throw InputError("cannot write " + part.string() +
                     ": the disk is full or broken; free some space and run again");
  if (code == CURLE_RANGE_ERROR) {  // a server that ignores ranges would send the whole file: begin again
    fs::resize_file(part, 0, ignored);
    return {false, !ignored, curl_easy_strerror(code)};
  }
  const std::string text = reason[0] != '\0' ? reason : curl_easy_strerror(code);
  // 416: nothing is left to send, the part is as long as the file or longer
  if (status == 416) return {true, false, text};
  const bool permanent = (status >= 400 && status < 500 && status != 408 && status != 429) ||
                         code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT;
  return {false, !permanent, text};
}

std::string host_of(const std::string& url) {
  const std::size_t start = url.find("://") == std::string::npos ? 0 : url.find("://") + 3;
  return url.substr(start, url.find('/', start) - start);
}

void fetch_file(const RemoteFile& remote, const fs::path& target, const FetchOptions& options) {
  if (fs::exists(target) && sha256_of_file(target) == remote.sha256) {
    if (options.note) options.note(remote.name + ": is there already");
    return;
  }
  std::string url = remote.url;
  if (!options.base_url.empty()) url = options.base_url + url.substr(url.rfind('/'));
  const fs::path part = target.string() + ".part";
  Attempt attempt;
  double wait = options.retry_wait_s;
  for (int i = 0; i < options.attempts && !attempt.done; ++i) {
    if (i > 0) {
      if (options.note) options.note(remote.name + ": " + attempt.reason + "; trying again");
      std::this_thread::sleep_for(std::chrono::duration<double>(wait));
      wait *= 2;
    } else if (options.note) {
      options.note(remote.name + ": fetching from " + host_of(url));
    }
    attempt = download_once(url, part, remote.name, options);
    if (!attempt.done && !attempt.retry) break;
  }
  if (!attempt.done)
    throw InputError("cannot fetch " + url + ": " + attempt.reason +
                     ". Without a network, download it elsewhere and put it at " + target.string());
  const std::string found = sha256_of_file(part);
  if (found != remote.sha256) {
    fs::remove(part);
    throw InputError("what came from " + url + " is not the expected file: SHA-256 " + found + ", expected " +
                     remote.sha256 + ". It was removed; try again, or get the file elsewhere and put it at " +
                     target.string());
  }
  fs::rename(part, target);
}

// Takes the wanted members of a tar.gz out into `folder`; other members, links and odd paths are passed over.
void extract(const fs::path& archive_file, const RemoteDataset& set, const fs::path& folder) {
  const std::unique_ptr<archive, decltype(&archive_read_free)> reader(archive_read_new(), &archive_read_free);
  archive_read_support_filter_gzip(reader.get());
  archive_read_support_format_tar(reader.get());
  const auto fail = [&] {
    const char* reason = archive_error_string(reader.get());
    return InputError("cannot unpack " + archive_file.string() + ": " +
                      (reason != nullptr ? reason : "unknown error"));
  };
  if (archive_read_open_filename(reader.get(), archive_file.c_str(), 1 << 16) != ARCHIVE_OK) throw fail();
  std::size_t taken = 0;
  for (archive_entry* entry = nullptr;;) {
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK) throw fail();
    const fs::path path = archive_entry_pathname(entry);
    const std::string member = path.filename().string();
    if (path.parent_path() != set.archive_folder || archive_entry_filetype(entry) != AE_IFREG ||
        std::find(set.members.begin(), set.members.end(), member) == set.members.end())
      continue;
    std::string bytes(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
    std::size_t read = 0;
    while (read < bytes.size()) {
      const la_ssize_t n = archive_read_data(reader.get(), bytes.data() + read, bytes.size() - read);
      if (n <= 0) throw fail();
      read += static_cast<std::size_t>(n);
    }
    write_file_atomically(folder / member, bytes);
    ++taken;
  }
  if (taken != set.members.size())
    throw InputError(archive_file.string() + " holds " + std::to_string(taken) + " of the " +
                     std::to_string(set.members.size()) + " expected files in " + set.archive_folder);
}

}  // namespace

const std::vector<RemoteDataset>& remote_datasets() {
  static const std::vector<RemoteDataset> sets = {
      idx_set("mnist", "https://storage.googleapis.com/cvdf-datasets/mnist/",
              "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
              "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
              "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
              "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
      idx_set("fashion-mnist", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
              "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
              "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
              "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
              "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
      idx_set("kmnist", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
              "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
              "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
              "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
              "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"),
      {"cifar10",
       {{"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz",
         "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"}},
       "cifar-10-batches-bin",
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
        "test_batch.bin"}},
      {"cifar100",
       {{"https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "cifar-100-binary.tar.gz",
         "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"}},
       "cifar-100-binary",
       {"train.bin", "test.bin"}},
  };
  return sets;
}

void fetch_dataset(const std::string& name, const fs::path& dir, const FetchOptions& options) {
  if (name == "digits") throw InputError("data set digits is built into gapbench: there is nothing to fetch");
  std::vector<std::string> names;
  for (const RemoteDataset& set : remote_datasets()) {
    if (set.name == name) return fetch_dataset(set, dir, options);
    names.push_back(set.name);
  }
  throw InputError("unknown data set '" + name + "'" + suggestion(name, names));
}

void fetch_dataset(const RemoteDataset& set, const fs::path& dir, const FetchOptions& options) {
  const fs::path folder = dir / (set.archive_folder.empty() ? set.name : set.archive_folder);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw InputError("cannot make the folder " + folder.string() + ": " + error.message() +
                     "; choose another --dir");
  if (set.archive_folder.empty()) {
    for (const RemoteFile& file : set.files) fetch_file(file, folder / file.name, options);
    return;
  }
  const bool complete = std::all_of(set.members.begin(), set.members.end(),
                                    [&](const std::string& m) { return fs::exists(folder / m); });
  if (complete) {
    if (options.note) options.note(set.name + ": is there already");
    return;
  }
  const fs::path archive_file = dir / set.files.front().name;
  fetch_file(set.files.front(), archive_file, options);
  extract(archive_file, set, folder);
  fs::remove(archive_file);  // its files are out; a re-run finds them
}

}  // namespace gapbench
