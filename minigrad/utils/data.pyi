from minigrad_nn.utils.data import *
