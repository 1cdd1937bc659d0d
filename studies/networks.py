"""Eleven networks, each a function that is given the length of the context and makes a model.

All map contexts `(n, t, 784)` to images `(n, 28, 28)` and end in a dense layer of 784 sigmoid
units, as `start_at_mean` asks. Recurrent ones read one image after the
other and keep a state; GRU and LSTM have gates, which decide what to keep. The others see all
images at once, or only the last one.
"""

import keras
from keras import layers

from data import PIXELS, SIDE
from model import NextImagePredictor


def predictor(length: int, *hidden: layers.Layer) -> keras.Model:
    images, image = keras.Input((length, PIXELS)), layers.Reshape((SIDE, SIDE))
    return keras.Sequential([images, *hidden, layers.Dense(PIXELS, "sigmoid"), image])


def linear_map(length):
    return predictor(length, layers.Flatten())


def perceptron(length):
    hidden = layers.Dense(192, "relu"), layers.Dense(192, "relu")
    return predictor(length, layers.Flatten(), *hidden)


def last_image_only(length):
    hidden = layers.Dense(256, "relu"), layers.Dense(256, "relu")
    return predictor(length, layers.Cropping1D((length - 1, 0)), layers.Flatten(), *hidden)


def simple_rnn(length):
    first = layers.SimpleRNN(256, return_sequences=True, unroll=True)
    return predictor(length, first, layers.SimpleRNN(256, unroll=True))


def gru(length):
    first = layers.GRU(128, return_sequences=True, unroll=True)
    return predictor(length, first, layers.GRU(128, unroll=True))


def one_lstm(length):
    return predictor(length, layers.LSTM(128, unroll=True))


def encoder_and_lstm(length):
    # Convolutions over three axes that are one image deep: the same for each image.
    first = layers.Conv3D(16, (1, 5, 5), strides=(1, 2, 2), activation="relu")
    second = layers.Conv3D(32, (1, 5, 5), strides=(1, 2, 2), activation="relu")
    images, each = layers.Reshape((length, SIDE, SIDE, 1)), layers.Reshape((length, 4 * 4 * 32))
    return predictor(length, images, first, second, each, layers.LSTM(128, unroll=True))


def convolutional_lstm(length):
    images = layers.Reshape((length, SIDE, SIDE, 1))
    first = layers.ConvLSTM2D(16, 5, strides=4, return_sequences=True)
    return predictor(length, images, first, layers.ConvLSTM2D(16, 3), layers.Flatten())


def convolution_over_time(length):
    hidden = layers.Conv1D(192, 2, activation="relu"), layers.Conv1D(192, 2, activation="relu")
    return predictor(length, *hidden, layers.Flatten())


def transformer(length):
    images = keras.Input((length, PIXELS))
    # A bias of its own for each place tells the order.
    x = layers.EinsumDense("btp,pd->btd", (length, 128), bias_axes="td")(images)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(4, 32)(y, y)
        y = layers.LayerNormalization()(x)
        x = x + layers.Dense(128)(layers.Dense(256, "gelu")(y))
    x = layers.Dense(PIXELS, "sigmoid")(layers.LayerNormalization()(x)[:, -1])
    return keras.Model(images, layers.Reshape((SIDE, SIDE))(x))


NETWORKS = {
    "linear map": linear_map,
    "perceptron": perceptron,
    "last image only": last_image_only,
    "simple RNN": simple_rnn,
    "GRU": gru,
    "LSTM (ours)": NextImagePredictor,
    "one LSTM layer": one_lstm,
    "encoder + LSTM": encoder_and_lstm,
    "ConvLSTM": convolutional_lstm,
    "convolution over time": convolution_over_time,
    "Transformer": transformer,
}
