from minigrad_nn.utils.clip_grad import *
