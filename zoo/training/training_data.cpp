#include "zoo/training/training_data.h"

#include <ATen/ops/from_blob.h>

namespace gapbench {

namespace {

// Takes the buffer over: the tensor keeps it alive.
template <class T>
at::Tensor adopt(std::vector<T>&& buffer, at::IntArrayRef shape, at::ScalarType type) {
  auto owner = std::make_shared<std::vector<T>>(std::move(buffer));
  return at::from_blob(
      owner->data(), shape, [owner](void*) {}, at::TensorOptions().dtype(type));
}

}  // namespace

std::shared_ptr<const TrainingData> TrainingDataCache::get(const HyperParameters& hp, bool channels_last) {
  const std::lock_guard lock(mutex_);
  auto& slot = variants_[{hp.train_size, hp.standardise, channels_last}];
  if (!slot) {
    Samples train = train_samples(dataset_, hp.train_size, hp.standardise);
    Samples test = test_samples(dataset_, hp.train_size, hp.standardise);
    auto data = std::make_shared<TrainingData>();
    data->shape = shape();
    data->train_images = adopt(std::move(train.images),
                               {train.count, dataset_.channels, dataset_.height, dataset_.width}, at::kFloat);
    data->train_labels = adopt(std::move(train.labels), {train.count}, at::kLong);
    data->test_images = adopt(std::move(test.images),
                              {test.count, dataset_.channels, dataset_.height, dataset_.width}, at::kFloat);
    data->test_labels = adopt(std::move(test.labels), {test.count}, at::kLong);
    if (channels_last)
      for (at::Tensor* images : {&data->train_images, &data->test_images})
        *images = images->contiguous(at::MemoryFormat::ChannelsLast);
    slot = std::move(data);
  }
  return slot;
}

}  // namespace gapbench
