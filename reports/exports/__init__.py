"""Runs in the forms that other programs read: TensorBoard, Weights & Biases, model cards."""
