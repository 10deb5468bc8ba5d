"""A detector as one ONNX file for programs that cannot run Python: written, run and compared before it is kept."""

from sensorad.export.onnx_file import OPSET, PARTS, OnnxExport, export_onnx
from sensorad.export.parity import TOLERANCE, Parity

__all__ = ["OPSET", "PARTS", "TOLERANCE", "OnnxExport", "Parity", "export_onnx"]
