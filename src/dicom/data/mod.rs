//! Bytes to checked slices to one volume or a refusal; contours to RT Structure Set bytes. No sockets.
