package mlc.sample.camera

import android.content.Context
import android.util.AttributeSet
import android.util.Size
import android.view.SurfaceView

/** Shows the camera's picture undistorted, as large as fits. Android turns it as the display is turned. */
class PreviewView(context: Context, attributes: AttributeSet?) : SurfaceView(context, attributes) {
    private var shown = Size(4, 3)

    /** [turned] where the sensor lies across the display. */
    fun setSource(size: Size, turned: Boolean) {
        shown = if (turned) Size(size.height, size.width) else size
        holder.setFixedSize(size.width, size.height)
        requestLayout()
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = MeasureSpec.getSize(widthMeasureSpec)
        val height = MeasureSpec.getSize(heightMeasureSpec)
        if (width * shown.height < height * shown.width) {
            setMeasuredDimension(width, width * shown.height / shown.width)
        } else {
            setMeasuredDimension(height * shown.width / shown.height, height)
        }
    }
}
