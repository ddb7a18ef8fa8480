"""What the tests of the TensorFlow backend share: two devices, for those of distribution."""

import tensorflow as tf

# It must be said before TensorFlow starts.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
