from minigrad_nn.parameter import *
