"""A small convolutional network on Fashion-MNIST: data, trainer, evaluator."""
