from minigrad_nn.init import *
