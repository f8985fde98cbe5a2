// safetensors_tool IN OUT: reads a file through TensorFile, converts every tensor to float32 and writes it again.
#include <cstdio>

#include "measures/api/error.h"
#include "zoo/store/safetensors.h"

int main(int, char** argv) {
  using namespace gapbench;
  try {
    const auto file = TensorFile::open(argv[1]);
    std::vector<std::vector<float>> values;
    for (const TensorEntry& t : file->tensors()) values.push_back(file->to_float32(t));
    std::vector<TensorToWrite> out;
    for (std::size_t i = 0; i < values.size(); ++i)
      out.push_back({file->tensors()[i].name, file->tensors()[i].shape, values[i]});
    write_safetensors(argv[2], out, file->metadata());
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return e.exit_code;
  }
  return 0;
}
