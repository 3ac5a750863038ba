from minigrad_nn.utils import *
