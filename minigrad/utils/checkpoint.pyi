from minigrad_nn.utils.checkpoint import *
