#include "zoo/training/training_data.h"

#include "zoo/data/label_noise.h"

namespace gapbench {

void to_channels_last(AlignedVector<float>& images, const InputShape& shape) {
  const auto channels = static_cast<std::size_t>(shape.channels),
             positions = static_cast<std::size_t>(shape.height * shape.width);
  std::vector<float> sample(channels * positions);
  for (auto at = images.begin(); at != images.end(); at += static_cast<std::ptrdiff_t>(sample.size())) {
    for (std::size_t c = 0; c < channels; ++c)
      for (std::size_t p = 0; p < positions; ++p)
        sample[p * channels + c] = at[static_cast<std::ptrdiff_t>(c * positions + p)];
    std::copy(sample.begin(), sample.end(), at);
  }
}

std::vector<std::int64_t> training_labels(const ModelSpec& model, const TrainingData& data) {
  std::vector<std::int64_t> labels = data.train.labels;
  if (model.hp.label_noise > 0)
    add_label_noise(labels, data.shape.classes, model.hp.label_noise, model.hp.label_noise_kind,
                    model.dataset, model.seed);
  return labels;
}

std::shared_ptr<const TrainingData> TrainingDataCache::get(const HyperParameters& hp, bool channels_last) {
  const std::lock_guard lock(mutex_);
  auto& slot = variants_[{hp.train_size, hp.standardise, channels_last}];
  if (!slot) {
    auto data = std::make_shared<TrainingData>();
    data->shape = shape();
    data->channels_last = channels_last;
    data->train = train_samples(dataset_, hp.train_size, hp.standardise);
    data->test = test_samples(dataset_, hp.train_size, hp.standardise);
    if (channels_last)
      for (Samples* samples : {&data->train, &data->test}) to_channels_last(samples->images, data->shape);
    slot = std::move(data);
  }
  return slot;
}

}  // namespace gapbench
