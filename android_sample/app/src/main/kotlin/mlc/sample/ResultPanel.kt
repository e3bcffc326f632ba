package mlc.sample

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.ProgressBar
import android.widget.TextView
import java.text.NumberFormat
import kotlin.math.roundToInt
import mlc.bindings.ModelDescription
import mlc.bindings.Prediction
import mlc.sample.model.Answer
import mlc.sample.model.Banner
import mlc.sample.model.Mood
import mlc.sample.model.bannerOf
import mlc.sample.model.readable

/** The banner, the labels with their bars, and the time: what the main screen says of a picture. */
class ResultPanel(private val activity: Activity) {
    private val banner = activity.findViewById<TextView>(R.id.banner)
    private val labels = activity.findViewById<ViewGroup>(R.id.labels)
    private val timing = activity.findViewById<TextView>(R.id.timing)
    private val percent = NumberFormat.getPercentInstance()
    private val wording = activity.resources.run {
        getStringArray(R.array.banner_labels).zip(getStringArray(R.array.banner_texts)).toMap()
    }

    fun show(answer: Answer, about: ModelDescription): Banner {
        val found = bannerOf(answer.predictions.first(), about.classifier?.labels.orEmpty(), wording)
        show(found)
        showLabels(answer.predictions)
        timing.text = activity.getString(R.string.timing, answer.milliseconds, about.name, about.version)
        return found
    }

    /** As a text to send: what the banner says, how sure it is, and of which model. */
    fun text(answer: Answer, banner: Banner, about: ModelDescription): String {
        val model = activity.getString(R.string.model_about, about.name, about.version)
        val share = percent.format(answer.predictions.first().probability)
        return activity.getString(R.string.shared_text, banner.text, share, model)
    }

    private fun show(found: Banner) {
        if (banner.text.contentEquals(found.text)) return // a screen reader would say it with every frame
        banner.text = found.text
        banner.contentDescription = activity.getString(R.string.banner_spoken, found.text)
        banner.setBackgroundColor(activity.getColor(colorOf(found.mood)))
    }

    private fun showLabels(predictions: List<Prediction>) {
        while (labels.childCount < predictions.size) activity.layoutInflater.inflate(R.layout.row_label, labels)
        labels.removeViews(predictions.size, labels.childCount - predictions.size)
        predictions.forEachIndexed { i, prediction -> show(prediction, labels.getChildAt(i)) }
    }

    private fun show(prediction: Prediction, row: View) {
        val name = readable(prediction.label)
        val share = percent.format(prediction.probability)
        row.findViewById<TextView>(R.id.name).text = name
        row.findViewById<TextView>(R.id.percent).text = share
        val bar = row.findViewById<ProgressBar>(R.id.bar)
        bar.progress = (prediction.probability * bar.max).roundToInt()
        row.contentDescription = activity.getString(R.string.row_spoken, name, share)
    }
}

/** The colour of a banner, a resource. */
fun colorOf(mood: Mood): Int = when (mood) {
    Mood.YES -> R.color.banner_yes
    Mood.NO -> R.color.banner_no
    Mood.NEUTRAL -> R.color.banner_neutral
}
