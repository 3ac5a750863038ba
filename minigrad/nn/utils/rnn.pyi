from minigrad_nn.utils.rnn import *
