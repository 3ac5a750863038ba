from minigrad_nn.functional import *
