#include "zoo/store/atomic_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "measures/api/error.h"

namespace gapbench {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  /// close() reports write errors that some file systems defer to it.
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

std::string reason(int error, const std::filesystem::path& path) {
  std::string text = std::strerror(error);
  if (error == ENOSPC) {
    std::error_code ignored;
    const auto space = std::filesystem::space(path.parent_path(), ignored);
    text += " (" + std::to_string(space.available >> 20) +
            " MiB free; free some space and run again, nothing is lost)";
  }
  return text;
}

}  // namespace

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  std::string temporary = (folder / ("." + path.filename().string() + ".tmp-XXXXXX")).string();
  const auto fail = [&](const char* what, int error, bool remove) {
    if (remove) ::unlink(temporary.c_str());
    throw InputError("cannot " + std::string(what) + " " + path.string() + ": " + reason(error, path));
  };
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) fail("create", errno, false);
  if (::fchmod(file.get(), 0644) != 0) fail("create", errno, true);
  while (!bytes.empty()) {
    const ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("write", errno, true);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fsync(file.get()) != 0 || !file.close()) fail("write", errno, true);
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail("write", errno, true);
  // the rename itself must survive a power cut; a folder that cannot be synced is no reason to fail
  const Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() >= 0) ::fsync(dir.get());
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0)
    throw InputError("cannot read " + path.string() + ": " + std::strerror(errno));
  if (!S_ISREG(status.st_mode)) throw InputError("cannot read " + path.string() + ": it is no regular file");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (map == MAP_FAILED) throw InputError("cannot map " + path.string() + ": " + std::strerror(errno));
  data_ = static_cast<const char*>(map);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

std::string read_file(const std::filesystem::path& path) {
  return std::string(MappedFile(path).bytes());
}

}  // namespace gapbench
