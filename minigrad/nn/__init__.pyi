from minigrad_nn import *
