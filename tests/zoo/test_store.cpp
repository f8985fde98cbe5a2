// Files: atomic writing, safetensors and their faults, the model store.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "measures/api/error.h"
#include "tests/support/catch.h"
#include "tests/support/temporary.h"
#include "zoo/store/atomic_file.h"
#include "zoo/store/model_store.h"
#include "zoo/store/safetensors.h"
#include "zoo/store/sha256.h"

using namespace gapbench;
using namespace gapbench::testing;
using Catch::Contains;

TEST_CASE("a file is replaced as a whole and nothing else is left behind") {
  const TemporaryDir dir;
  write_file_atomically(dir / "a", "one");
  write_file_atomically(dir / "a", std::string("two\0three", 9));
  CHECK(read_file(dir / "a") == std::string("two\0three", 9));
  write_file_atomically(dir / "empty", "");
  CHECK(read_file(dir / "empty").empty());
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path())) ++files;
  CHECK(files == 2);
  struct stat status = {};
  REQUIRE(::stat((dir / "a").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0644);
}

TEST_CASE("a file that cannot be written is named, and what was there stays") {
  const TemporaryDir dir;
  CHECK_THROWS_WITH(write_file_atomically(dir.path() / "missing" / "a", "x"),
                    Contains("missing/a") && Contains("No such file"));
  std::filesystem::create_directory(dir / "folder");
  write_text(dir.path() / "folder" / "inside", "x");
  CHECK_THROWS_AS(write_file_atomically(dir / "folder", "x"), InputError);
  CHECK(read_text(dir.path() / "folder" / "inside") == "x");
  CHECK_THROWS_WITH(read_file(dir / "nothing"), Contains("nothing"));
  CHECK_THROWS_WITH(read_file(dir / "folder"), Contains("no regular file"));
}

TEST_CASE("SHA-256 of the published examples") {
  // FIPS 180-2, appendix B
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 parts;
  parts.update("abcdbcdecdefdefgefghfghigh");
  parts.update("ijhijkijkljklmklmnlmnomnopnopq");
  CHECK(parts.hex() == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("safetensors read back what was written") {
  const TemporaryDir dir;
  const std::vector<float> a = {1, -2, 3.5f, 0, 5, 6}, b = {7}, none;
  write_safetensors(dir / "t.safetensors",
                    {{"layers.0.weight", {2, 3}, a}, {"scalar", {}, b}, {"empty", {0, 4}, none}},
                    {{"format", "pt"}, {"quote", "\"x\""}});
  const auto file = TensorFile::open(dir / "t.safetensors");
  REQUIRE(file->tensors().size() == 3);
  CHECK(file->metadata().at("quote") == "\"x\"");
  const auto values = file->float32(file->at("layers.0.weight"));
  CHECK(std::vector<float>(values.begin(), values.end()) == a);
  CHECK(file->at("layers.0.weight").shape == std::vector<std::int64_t>{2, 3});
  CHECK(file->at("scalar").count() == 1);
  CHECK(file->at("empty").count() == 0);
  CHECK_FALSE(file->has("layers.0.bias"));
  CHECK_THROWS_WITH(file->at("layers.0.wieght"), Contains("did you mean 'layers.0.weight'?"));
}

namespace {

std::string with_header(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  const std::uint64_t n = header.size();
  std::memcpy(bytes.data(), &n, 8);
  return bytes + header + data;
}

}  // namespace

TEST_CASE("every fault of a safetensors file is named") {
  const TemporaryDir dir;
  const std::string eight(8, '\0');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "0 bytes are too short"},
      {"1234567", "7 bytes are too short"},
      {std::string("\xff\xff\xff\xff\xff\xff\xff\xff", 8) + "{}", "header length 18446744073709551615"},
      {with_header("{}", "").substr(0, 9), "is more than the file has"},
      {with_header("[]", ""), "must be a JSON object"},
      {with_header("{\"a\": ", ""), "is not valid JSON"},
      {with_header(R"({"a": {"dtype": "F32", "shape": [2]}})", eight),
       "must have dtype, shape and data_offsets"},
      {with_header(R"({"a": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}})", eight),
       "has dtype F99"},
      {with_header(R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})", eight),
       "hold 8 bytes, F32 [3] needs 12"},
      {with_header(R"({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})", eight),
       "reach beyond the 8 bytes of data"},
      {with_header(R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})", eight),
       "reach beyond"},
      {with_header(R"({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}})", eight),
       "is not a list of sizes"},
      {with_header(R"({"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 8]}})",
                   eight),
       "is not a list of sizes"},
      {with_header(
           R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
           eight),
       "overlap"},
      {with_header(
           R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
           eight),
       "names 'a' twice"},
      {with_header(R"({"__metadata__": {"k": 1}})", ""), "__metadata__ k must be a text"},
  };
  for (const auto& [bytes, expected] : cases) {
    CAPTURE(expected);
    write_text(dir / "bad.safetensors", bytes);
    CHECK_THROWS_AS(TensorFile::open(dir / "bad.safetensors"), InputError);
    CHECK_THROWS_WITH(TensorFile::open(dir / "bad.safetensors"),
                      Contains("bad.safetensors") && Contains(expected));
  }
}

TEST_CASE("no cut of a safetensors file is taken for a whole one") {
  const TemporaryDir dir;
  const std::vector<float> a(10, 1.0f);
  write_safetensors(dir / "t", {{"a", {10}, a}});
  const std::string whole = read_text(dir / "t");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_text(dir / "cut", whole.substr(0, length));
    CAPTURE(length);
    CHECK_THROWS_AS(TensorFile::open(dir / "cut"), InputError);
  }
}

TEST_CASE("the store keeps models apart and says which file is broken") {
  const TemporaryDir dir;
  const ModelStore store(dir / "zoo");
  CHECK_FALSE(store.is_trained("aa"));
  store.write_json("aa", "result.json", {{"status", "ok"}});
  CHECK(store.is_trained("aa"));
  CHECK_FALSE(store.is_trained("ab"));
  CHECK(store.read_json("aa", "result.json").at("status") == "ok");
  CHECK(store.read_json_lines("aa", "measures.jsonl").empty());
  store.write_json_lines("aa", "measures.jsonl", {{{"x", 1}}, {{"x", 2}}});
  CHECK(store.read_json_lines("aa", "measures.jsonl").size() == 2);
  write_text(store.file("aa", "measures.jsonl"), "{\"x\": 1}\n{\"x\"");
  CHECK_THROWS_WITH(store.read_json_lines("aa", "measures.jsonl"), Contains("measures.jsonl: line 2"));
  write_text(store.file("aa", "result.json"), "{");
  CHECK_THROWS_WITH(store.read_json("aa", "result.json"),
                    Contains("result.json") && Contains("delete the folder"));
  write_text(store.file("aa", ".final.safetensors.tmp-x1y2z3"), "half");
  store.remove_leftovers("aa");
  CHECK_FALSE(std::filesystem::exists(store.file("aa", ".final.safetensors.tmp-x1y2z3")));
  CHECK(std::filesystem::exists(store.file("aa", "result.json")));
  write_text(dir / "file", "");
  CHECK_THROWS_WITH(ModelStore(dir / "file"), Contains("choose another --out"));
}
