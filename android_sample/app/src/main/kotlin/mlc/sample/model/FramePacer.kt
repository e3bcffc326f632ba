package mlc.sample.model

/**
 * Lets so many frames per second through; the others are not worth the battery.
 *
 * State: when the next frame is due. To be asked from one thread; the rate may be set from any.
 */
class FramePacer(@Volatile var framesPerSecond: Int) {
    private var due: Long? = null

    /** Whether to run the frame of this time, in nanoseconds of any clock that goes on. */
    fun admits(nanos: Long): Boolean {
        val interval = 1_000_000_000L / framesPerSecond
        val planned = due
        if (planned != null && nanos < planned) return false
        // Counted from when it was due, so that the rate holds although cameras have one of their own;
        // from now after a pause, so that nothing is made up for.
        due = if (planned != null && nanos - planned < interval) planned + interval else nanos + interval
        return true
    }
}
